"""Publishing: every entry has an outcome of its own, keys go where every client puts them, order holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from busbridge.transport import Entry, Status
from integration.kafka.bench import SECONDS

JAVA = {  # the vectors of Kafka's own tests: key, murmur2 as a signed number
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
}


def test_a_key_goes_to_the_partition_that_javas_client_computes(new_bench):
    bench = new_bench(partitions=12)

    async def run():
        async with bench.open() as transport:
            return {key: (await bench.write(transport, b"x", key=key))[0].partition for key in JAVA}

    assert asyncio.run(run()) == {key: (signed & 0x7FFFFFFF) % 12 for key, signed in JAVA.items()}


def test_one_bad_entry_among_a_hundred_is_refused_at_its_index(new_bench):
    bench = new_bench()
    nowhere = replace(bench.stream, name="nowhere", physical=f"{bench.run}-nowhere")

    async def run():
        async with bench.open() as transport:
            entries = [Entry(bench.stream, b"%d" % number, []) for number in range(100)]
            entries[17] = Entry(bench.stream, b"x" * 2_000_000, [])
            entries[50] = Entry(nowhere, b"x", [])
            entries[83] = Entry(bench.stream, b"x", [("float", 1.5)])
            return await transport.publish(entries, SECONDS)

    outcomes = asyncio.run(run())
    found = {number: each.error.reason for number, each in enumerate(outcomes) if each.status is Status.REFUSED}
    assert found == {17: "too_large", 50: "no_destination", 83: "invalid"}
    assert sum(each.status is Status.CONFIRMED for each in outcomes) == 97


def test_positions_are_where_the_messages_are(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open() as transport:
            entries = [Entry(bench.stream, b"%d" % number, [], str(number % 5)) for number in range(200)]
            return [each.position for each in await transport.publish(entries, SECONDS)]

    positions = asyncio.run(run())
    read = {(each.partition(), each.offset()): each.value() for each in bench.read(bench.stream.physical, 200)}
    assert {position: b"%d" % number for number, position in enumerate(positions)} == read


def test_order_per_key_holds_over_a_broker_that_stands_still(private_kafka):
    from integration.kafka.bench import Bench

    bench = Bench(private_kafka, partitions=3)

    async def run():
        async with bench.open() as transport:
            before = await bench.write(transport, b"0", key="k")
            await asyncio.to_thread(private_kafka.pause)
            writing = [asyncio.create_task(bench.write(transport, b"%d" % n, key="k")) for n in range(1, 50)]
            await asyncio.sleep(3)
            assert not any(each.done() for each in writing)
            await asyncio.to_thread(private_kafka.unpause)
            return before + [each[0] for each in await asyncio.gather(*writing)]

    positions = asyncio.run(run())
    assert [each.offset for each in positions] == sorted(each.offset for each in positions)
    read = bench.read(bench.stream.physical, 50)
    assert [each.value() for each in read] == [b"%d" % number for number in range(50)]
    bench.remove()


@pytest.mark.parametrize("seconds", [0.5])
def test_without_a_broker_the_outcome_is_unknown_at_the_deadline(private_kafka, seconds):
    from integration.kafka.bench import Bench

    bench = Bench(private_kafka)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"warm")
            await asyncio.to_thread(private_kafka.pause)
            try:
                return await transport.publish([Entry(bench.stream, b"x", [])], seconds)
            finally:
                await asyncio.to_thread(private_kafka.unpause)

    (outcome,) = asyncio.run(run())
    assert outcome.status is Status.UNKNOWN
    assert "0.5 s" in str(outcome.error)
    bench.remove()
