"""Reading a Kafka topic outside of any group: from where it is told to where it is told, past every gap."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from busbridge.errors import ClosedError, PositionLost, SourceEnded, TopologyMismatch
from busbridge.routing import StartAt
from busbridge_kafka import _reading as reading
from integration.kafka.bench import SECONDS, until

EARLIEST = StartAt("earliest")


async def everything(history):
    """All messages to the end."""
    found = []
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                found += await history.receive()
            except SourceEnded:
                return found


def bodies(messages):
    return [each.body for each in messages]


def reading_threads():
    return [each.name for each in threading.enumerate() if each.name.startswith("busbridge-kafka-read")]


def test_all_that_is_there_and_nothing_that_comes_later(new_bench):
    bench = new_bench(partitions=3)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(2000)))
            history = await transport.read(bench.stream, EARLIEST, "now")
            assert history.remaining == 2000
            await bench.write(transport, b"later")
            found = await everything(history)
            assert history.remaining == 0
            await until(lambda: not reading_threads())
        assert bodies(found) == [b"%d" % number for number in range(2000)]
        assert {type(each.time) for each in found} == {float}
        assert abs(found[0].time - datetime.now(UTC).timestamp()) < SECONDS

    asyncio.run(run())


def test_an_empty_stream_ends_at_once(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open() as transport:
            assert await everything(await transport.read(bench.stream, EARLIEST, "now")) == []

    asyncio.run(run())


@pytest.mark.parametrize("commits", [True, False])
def test_transactions_leave_gaps_and_the_end_is_reached_all_the_same(new_bench, commits):
    bench = new_bench(partitions=1)
    producer = bench.broker.producer(transactional_id=bench.run)

    def write(count):
        producer.begin_transaction()
        for number in range(count):
            producer.produce(bench.stream.physical, b"%d" % number)
        producer.flush(SECONDS)
        producer.commit_transaction(SECONDS) if commits else producer.abort_transaction(SECONDS)

    async def run():
        async with bench.open() as transport:
            producer.init_transactions(SECONDS)
            for _ in range(3):
                await asyncio.to_thread(write, 4)
            found = await everything(await transport.read(bench.stream, EARLIEST, "now"))
            return [each.position.offset for each in found]

    assert asyncio.run(run()) == ([0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13] if commits else [])


def test_what_a_transaction_has_not_committed_is_behind_the_end(new_bench):
    bench = new_bench(partitions=1)
    producer = bench.broker.producer(transactional_id=bench.run)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"before")
            producer.init_transactions(SECONDS)
            producer.begin_transaction()
            producer.produce(bench.stream.physical, b"undecided")
            producer.flush(SECONDS)
            found = await everything(await transport.read(bench.stream, EARLIEST, "now"))
            await asyncio.to_thread(producer.abort_transaction, SECONDS)
            return bodies(found)

    assert asyncio.run(run()) == [b"before"]


def test_a_slow_reader_finds_the_end_behind_a_gap_too(new_bench, monkeypatch):
    """While it rests the client forgets what it had fetched, and with it that it was at the end."""
    monkeypatch.setattr(reading, "FETCH", 2)
    bench = new_bench(partitions=1)
    producer = bench.broker.producer(transactional_id=bench.run)

    def write():
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
        for number in range(4):
            producer.produce(bench.stream.physical, b"%d" % number)
        producer.commit_transaction(SECONDS)

    async def run():
        async with bench.open() as transport:
            await asyncio.to_thread(write)
            history = await transport.read(bench.stream, EARLIEST, "now")
            found = []
            with pytest.raises(SourceEnded):
                while True:
                    found += await asyncio.wait_for(history.receive(), SECONDS)
                    await asyncio.sleep(1)
            return [each.position.offset for each in found]

    assert asyncio.run(run()) == [0, 1, 2, 3]


@pytest.mark.parametrize(("start", "first"), [(StartAt(7), 7), (StartAt(99), 10), (StartAt("latest"), 10)])
def test_it_starts_where_it_is_told(new_bench, start, first):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(10)))
            return await everything(await transport.read(bench.stream, start, "now"))

    assert [each.position.offset for each in asyncio.run(run())] == list(range(first, 10))


def test_it_starts_at_a_time_and_ends_before_one(new_bench):
    bench = new_bench(partitions=2)

    async def between(transport, *texts):
        await asyncio.sleep(0.05)  # the broker's timestamps have milliseconds
        now = datetime.now(UTC)
        await bench.write(transport, *texts)
        return now

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"early")
            noon = await between(transport, b"noon")
            late = await between(transport, b"late", b"later")
            history = await transport.read(bench.stream, StartAt(noon), late)
            return bodies(await everything(history))

    assert asyncio.run(run()) == [b"noon"]


def test_without_an_end_it_goes_on_with_what_is_published_next(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"before")
            history = await transport.read(bench.stream, StartAt("latest"), None)
            assert history.remaining is None
            for number in range(3):
                waiting = asyncio.create_task(history.receive())
                await asyncio.sleep(0)
                await bench.write(transport, b"%d" % number)
                assert bodies(await asyncio.wait_for(waiting, SECONDS)) == [b"%d" % number]
            await history.close()
            assert not reading_threads()

    asyncio.run(run())


def test_a_cancelled_wait_loses_nothing(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            history = await transport.read(bench.stream, EARLIEST, None)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(history.receive(), 0.3)
            await bench.write(transport, b"a", b"b")
            found = []
            while len(found) < 2:
                found += await asyncio.wait_for(history.receive(), SECONDS)
            return bodies(found)

    assert asyncio.run(run()) == [b"a", b"b"]


def test_a_slow_reader_rests_and_goes_on_without_loss_or_repetition(new_bench):
    bench = new_bench(partitions=2, client={"queued.min.messages": 100, "fetch.message.max.bytes": 2000})

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number + b"x" * 200 for number in range(3000)), key="k")
            history = await transport.read(bench.stream, EARLIEST, "now")
            found = []
            with pytest.raises(SourceEnded):
                while True:
                    found += await asyncio.wait_for(history.receive(), SECONDS)
                    if len(found) < 1500:
                        await asyncio.sleep(0.7)  # longer than the thread waits before it rests
            return [each.position.offset for each in found]

    assert asyncio.run(run()) == list(range(3000))


def test_an_offset_that_is_gone_is_a_position_lost(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(20)))
            bench.cut(0, 12)
            with pytest.raises(PositionLost) as lost:
                await transport.read(bench.stream, StartAt(5), "now")
            assert (lost.value.subscription, lost.value.committed, lost.value.low, lost.value.high) == (None, 5, 12, 20)
            assert not reading_threads()

    asyncio.run(run())


def test_retention_that_overtakes_it_is_a_position_lost(new_bench):
    bench = new_bench(partitions=1, client={"queued.min.messages": 1, "fetch.max.bytes": 1000,
                                            "message.max.bytes": 1000, "max.partition.fetch.bytes": 1000})  # fmt: skip

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number + b"x" * 700 for number in range(30)))
            history = await transport.read(bench.stream, EARLIEST, "now")
            seen = [each.position.offset for each in await history.receive()]
            bench.cut(0, 25)
            async with asyncio.timeout(SECONDS):
                with pytest.raises(PositionLost) as lost:
                    while True:
                        seen += [each.position.offset for each in await history.receive()]
        assert seen == list(range(len(seen)))
        assert lost.value.committed == len(seen)

    asyncio.run(run())


def test_a_stream_that_is_not_there_is_told(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open() as transport:
            await asyncio.to_thread(bench.delete, bench.stream.physical)
            with pytest.raises(TopologyMismatch, match="does not exist"):
                await transport.read(bench.stream, EARLIEST, "now")

    asyncio.run(run())


def test_a_stream_that_is_removed_meanwhile_is_told_too(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open(patience=2) as transport:
            history = await transport.read(bench.stream, EARLIEST, None)
            waiting = asyncio.create_task(history.receive())
            await asyncio.sleep(0.3)
            await asyncio.to_thread(bench.delete, bench.stream.physical)
            with pytest.raises(TopologyMismatch, match="does not exist"):
                await asyncio.wait_for(waiting, SECONDS)

    asyncio.run(run())


def test_closing_the_transport_ends_it_and_wakes_who_waits(new_bench):
    bench = new_bench()

    async def run():
        async with bench.open() as transport:
            history = await transport.read(bench.stream, EARLIEST, None)
            waiting = asyncio.create_task(history.receive())
            await asyncio.sleep(0.2)
        with pytest.raises(ClosedError):
            await waiting
        assert not reading_threads()

    asyncio.run(run())


def test_it_leaves_no_group_and_no_position_on_the_broker(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"a")
            await everything(await transport.read(bench.stream, EARLIEST, "now"))

    asyncio.run(run())
    admin = bench.broker.admin()
    groups = admin.list_consumer_groups().result(SECONDS).valid
    assert "busbridge-read" not in {each.group_id for each in groups}
