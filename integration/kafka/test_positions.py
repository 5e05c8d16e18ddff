"""A subscription never skips a message in silence: where it starts, goes on, and stops (T3)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from busbridge.errors import PositionLost
from busbridge.routing import StartAt
from integration.kafka.bench import SECONDS, receive, until


def bodies(deliveries):
    return [delivery.body for delivery in deliveries]


def test_a_position_that_retention_removed_stops_the_subscription_and_names_the_range(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(20)))
            bench.commit(0, 5)
            bench.cut(0, 12)
            source = await transport.subscribe(bench.plan)
            async with asyncio.timeout(SECONDS):
                with pytest.raises(PositionLost) as lost:
                    await source.receive()
        assert (lost.value.partition, lost.value.committed, lost.value.low, lost.value.high) == (0, 5, 12, 20)

    asyncio.run(run())
    assert bench.committed(0) == [5]


def test_retention_that_overtakes_a_running_subscription_is_not_skipped_over_either(new_bench):
    bench = new_bench(partitions=1, prefetch=1)

    async def run():
        async with bench.open(client={"queued.min.messages": 1, "fetch.max.bytes": 1000, "message.max.bytes": 1000,
                                      "max.partition.fetch.bytes": 1000}) as transport:  # fmt: skip
            await bench.write(transport, *(b"%d" % number + b"x" * 700 for number in range(30)))
            source = await transport.subscribe(bench.plan)
            (first,) = await source.receive()
            bench.cut(0, 25)
            first.accept()
            seen = [first.position.offset]
            async with asyncio.timeout(SECONDS):
                with pytest.raises(PositionLost) as lost:
                    while True:
                        (delivery,) = await source.receive()
                        seen.append(delivery.position.offset)
                        delivery.accept()
        assert seen == list(range(len(seen)))
        assert lost.value.committed == len(seen)

    asyncio.run(run())


def test_latest_means_latest_at_the_first_start_not_at_each(new_bench):
    bench = new_bench(start=StartAt("latest"))

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"before")
            await (await transport.subscribe(bench.plan)).close()
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(100)))
            source = await transport.subscribe(bench.plan)
            return bodies(await receive(source, 100))

    assert asyncio.run(run()) == [b"%d" % number for number in range(100)]


def test_a_partition_added_later_is_read_from_its_beginning(new_bench):
    bench = new_bench(partitions=1, start=StartAt("latest"), client={"topic.metadata.refresh.interval.ms": 500})

    async def run():
        async with bench.open() as transport:
            await transport.subscribe(bench.plan)
        bench.grow(3)
        async with bench.open() as transport:
            for key in "abcdefgh":
                await bench.write(transport, key.encode(), key=key)
            source = await transport.subscribe(bench.plan)
            return await receive(source, 8)

    found = asyncio.run(run())
    assert sorted(bodies(found)) == [bytes([each]) for each in b"abcdefgh"]
    assert {each.position.partition for each in found} == {0, 1, 2}


@pytest.mark.parametrize(("at", "first"), [("earliest", 0), (7, 7), (99, 10)])
def test_a_new_subscription_starts_where_it_is_told(new_bench, at, first):
    bench = new_bench(partitions=1, start=StartAt(at))

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(10)))
            source = await transport.subscribe(bench.plan)
            await bench.write(transport, b"last")
            return await receive(source, 11 - first)

    assert [each.position.offset for each in asyncio.run(run())] == list(range(first, 11))


def test_a_new_subscription_starts_at_a_time(new_bench):
    bench = new_bench(partitions=2)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"early")
            await asyncio.sleep(0.05)  # the broker's timestamps have milliseconds
            now = datetime.now(UTC)
            await bench.write(transport, b"late", b"later")
            source = await transport.subscribe(replace(bench.plan, start=StartAt(now)))
            return bodies(await receive(source, 2))

    assert asyncio.run(run()) == [b"late", b"later"]


def test_a_running_group_is_never_set_back_by_one_that_begins(new_bench):
    bench = new_bench(partitions=2)

    async def run():
        async with bench.open() as one, bench.open() as other:
            positions = await bench.write(one, b"a", b"b")
            source = await one.subscribe(bench.plan)
            await receive(source, 2)
            assert await source.flush(SECONDS)
            await other.subscribe(bench.plan)
            assert bench.committed(positions[0].partition) == [2]

    asyncio.run(run())


def test_what_is_finished_is_committed_while_it_runs(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"a", b"b", b"c")
            source = await transport.subscribe(bench.plan)
            first, second, third = await receive(source, 3, settle=False)
            third.accept()
            first.accept()
            waiting = asyncio.create_task(source.receive())
            await until(lambda: bench.committed(0) == [1])
            second.accept()
            await until(lambda: bench.committed(0) == [3])
            waiting.cancel()

    asyncio.run(run())


def test_what_nobody_can_have_begun_is_not_taken_for_handed_over_before(new_bench):
    """T7: after a start and after a clean stop nothing is in doubt; what was begun and not finished is."""
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(6)))
        seen = []
        for settled in (2, 2, 0, 2):
            async with bench.open() as transport:
                source = await transport.subscribe(replace(bench.plan, prefetch=2))
                found = list(await source.receive())
                while len(found) < 2:
                    found += await source.receive()
                assert bench.touched(0), "or its death would not be known"
                seen.append([each.redelivered for each in found])
                for each in found:
                    each.accept() if settled else each.release()
        return seen

    new, stopped, given_back = [False, False], [False, False], [True, True]
    assert asyncio.run(run()) == [new, stopped, [False, False], given_back]
    assert not bench.touched(0)
