"""Consuming: rebalances wait for handlers, nothing fetched is lost, slow handlers keep their membership."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict

import pytest

from busbridge.errors import ClosedError, SourceEnded, StaleDelivery
from integration.kafka.bench import SECONDS, receive, until

PROTOCOLS = [{}, {"group.protocol": "consumer"}]


class Member:
    """Handles what a source hands over, each message for a while, as the runtime does."""

    def __init__(self, source, log, seconds):
        self.source = source
        self.log = log
        self.seconds = seconds
        self.handlers = set()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            try:
                deliveries = await self.source.receive()
            except (SourceEnded, ClosedError):
                return
            for delivery in deliveries:
                handler = asyncio.create_task(self.handle(delivery))
                self.handlers.add(handler)
                handler.add_done_callback(self.handlers.discard)

    async def handle(self, delivery):
        if not delivery.session.taking:
            delivery.release()
            return
        begin = time.monotonic()
        await asyncio.sleep(self.seconds)
        self.log.append((delivery.body, delivery.key, id(self), begin, time.monotonic()))
        delivery.accept()

    async def leave(self):
        self.source.drain()
        await self.task
        await asyncio.gather(*self.handlers)
        await self.source.close()


def overlaps(log):
    """Keys that two members had in hand at one time."""
    spans = defaultdict(list)
    for _, key, member, begin, end in log:
        spans[key].append((begin, end, member))
    return [
        key
        for key, found in spans.items()
        for one in found
        for other in found
        if one[2] != other[2] and one[0] < other[1] and other[0] < one[1]
    ]


@pytest.mark.parametrize("client", PROTOCOLS, ids=["classic", "KIP-848"])
def test_a_clean_join_waits_for_handlers(new_bench, client):
    """0.5 s handlers, a member joins and one leaves: no key in two hands at once, nothing handled twice (T10)."""
    bench = new_bench(partitions=4, prefetch=20, client=client)
    keys = [f"key-{number}" for number in range(12)]

    async def run():
        log = []
        async with bench.open() as one, bench.open() as other:
            for key in keys:
                await bench.write(one, *(f"{key}/{number}".encode() for number in range(40)), key=key)
            first = Member(await one.subscribe(bench.plan), log, 0.5)
            await until(lambda: log)
            second = Member(await other.subscribe(bench.plan), log, 0.5)
            await until(lambda: any(member == id(second) for _, _, member, _, _ in log))
            await first.leave()
            await until(lambda: len({body for body, *_ in log}) == 480)
            await second.leave()
        return log

    log = asyncio.run(run())
    assert overlaps(log) == []
    assert [body for body, times in Counter(body for body, *_ in log).items() if times > 1] == []


@pytest.mark.parametrize("client", PROTOCOLS, ids=["classic", "KIP-848"])
def test_a_member_that_leaves_while_it_joins_is_gone_from_its_group(new_bench, client):
    """The others answer a join within their heartbeat; a member that went before would hold its share for 45 s."""
    bench = new_bench(partitions=4, client=client)

    async def run():
        async with bench.open() as one, bench.open() as other:
            await bench.write(one, b"first")
            await receive(await one.subscribe(bench.plan), 1)
            leaving = await other.subscribe(bench.plan)
            await leaving.close()
            await until(lambda: bench.members() == 1)
            assert bench.members() == 1

    asyncio.run(run())


def test_a_late_settlement_is_refused_also_when_the_partition_came_back(new_bench, monkeypatch):
    monkeypatch.setattr("busbridge_kafka._rebalance.DRAIN_SECONDS", 0.1)
    bench = new_bench(partitions=2)

    async def run():
        async with bench.open() as one, bench.open() as other:
            for key in "abcdefgh":
                await bench.write(one, key.encode(), key=key)
            source = await one.subscribe(bench.plan)
            held = await receive(source, 8, settle=False)
            second = await other.subscribe(bench.plan)
            await until(lambda: not all(each.session.alive for each in held))
            late = [each for each in held if not each.session.alive]
            await second.close()
            again = await receive(source, len(late), settle=False)
            assert {each.position for each in again} == {each.position for each in late}
            for each in late:
                with pytest.raises(StaleDelivery):
                    each.accept()
            assert bench.committed(late[0].position.partition) == [0]
            assert all(each.accept() for each in again)

    asyncio.run(run())


@pytest.mark.parametrize("moment", [0, 0.0005, 0.002, 0.01, 0.05])
def test_a_cancelled_wait_loses_nothing(new_bench, moment):
    """T5: the waiter is cancelled again and again, wherever it stands; what was fetched is handed to the next one."""
    bench = new_bench(partitions=2, prefetch=50)

    async def run():
        async with bench.open() as transport:
            source = await transport.subscribe(bench.plan)
            found = []
            writing = asyncio.create_task(bench.write(transport, *(b"%d" % number for number in range(500))))
            async with asyncio.timeout(SECONDS):
                while len(found) < 500:
                    waiter = asyncio.create_task(source.receive())
                    await asyncio.sleep(moment)
                    waiter.cancel()
                    try:
                        deliveries = await waiter
                    except asyncio.CancelledError:
                        deliveries = await asyncio.wait_for(source.receive(), SECONDS) if moment == 0 else ()
                    found += deliveries
                    for delivery in deliveries:
                        delivery.accept()
            await writing
            return [delivery.body for delivery in found]

    assert sorted(asyncio.run(run()), key=int) == [b"%d" % number for number in range(500)]


def test_a_single_message_is_handed_over_at_once(new_bench):
    """T11: `consume(500, 1.0)` would hold each back for a second."""
    bench = new_bench(partitions=4, client={"linger.ms": 0})

    async def run():
        async with bench.open() as transport:
            source = await transport.subscribe(bench.plan)
            await bench.write(transport, b"warm")
            await receive(source, 1)
            latencies = []
            for number in range(50):
                begin = time.monotonic()
                writing = asyncio.create_task(bench.write(transport, b"%d" % number))
                await receive(source, 1)
                latencies.append(time.monotonic() - begin)
                await writing
            return sorted(latencies)

    assert asyncio.run(run())[25] < 0.05


def test_a_handler_slower_than_the_poll_interval_keeps_its_membership(new_bench):
    bench = new_bench(partitions=1, prefetch=1, client={"max.poll.interval.ms": 6000, "session.timeout.ms": 6000})

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"slow", b"next")
            source = await transport.subscribe(bench.plan)
            (slow,) = await receive(source, 1, settle=False)
            await asyncio.sleep(8)
            assert slow.session.taking
            assert slow.accept()
            (following,) = await receive(source, 1)
            assert following.body == b"next"
            assert following.attempt == 1

    asyncio.run(run())
    assert bench.committed(0) == [2]


def test_back_pressure_by_pausing_skips_and_repeats_nothing(new_bench):
    bench = new_bench(partitions=3, prefetch=10)

    async def run():
        async with bench.open() as transport:
            for number in range(300):
                await bench.write(transport, b"%d" % number, key=str(number % 7))
            source = await transport.subscribe(bench.plan)
            found = []
            for pause in (0.8, 0, 0.8, 0, 0):  # longer than the thread rests before it pauses the partitions
                batch = await receive(source, 1, settle=False)
                assert len(batch) <= 10
                await asyncio.sleep(pause)
                for delivery in batch:
                    delivery.accept()
                found += batch
            found += await receive(source, 300 - len(found))
            return found

    found = asyncio.run(run())
    assert Counter(each.body for each in found) == Counter(b"%d" % number for number in range(300))
    by_partition = defaultdict(list)
    for each in found:
        by_partition[each.position.partition].append(each.position.offset)
    assert all(offsets == list(range(len(offsets))) for offsets in by_partition.values())


def test_headers_key_and_bytes_reach_the_dead_letters_as_they_were(new_bench):
    """T25: order, repeats, null and bytes that are no text."""
    bench = new_bench(partitions=2)
    headers = [("a", b"\xff\x00"), ("b", None), ("a", b"again"), ("c", b"")]
    producer = bench.broker.producer()

    async def run():
        async with bench.open() as transport:
            producer.produce(bench.stream.physical, None, b"\xfe-key", headers=headers)
            assert producer.flush(SECONDS) == 0
            source = await transport.subscribe(bench.plan)
            (delivery,) = await receive(source, 1, settle=False)
            assert delivery.body is None
            assert delivery.key == b"\xfe-key"
            assert list(delivery.headers) == headers
            assert delivery.reject([("why", "tested")])
            assert await source.flush(SECONDS)

    asyncio.run(run())
    (dead,) = bench.read(bench.plan.dead_letters, 1)
    assert (dead.key(), dead.value()) == (b"\xfe-key", None)
    own = [*headers, ("why", b"tested")]
    assert dead.headers()[: len(own)] == own
    assert {name.partition("-")[0].partition(".")[0] for name, _ in dead.headers()[len(own) :]} == {
        "__connect",  # the record once more, as the tools of Kafka's users know it
        "kafka_dlt",
    }


def test_nothing_is_committed_before_its_dead_letter_is_confirmed(new_bench):
    bench = new_bench(partitions=1)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, b"a", b"b")
            source = await transport.subscribe(bench.plan)
            bad, good = await receive(source, 2, settle=False)
            bench.delete(bench.plan.dead_letters)
            bad.reject([])
            good.accept()
            assert not await source.flush(3)

    asyncio.run(run())
    assert bench.committed(0) == [0]


def test_draining_hands_over_nothing_more_and_keeps_settling(new_bench):
    bench = new_bench(partitions=1, prefetch=2)

    async def run():
        async with bench.open() as transport:
            await bench.write(transport, *(b"%d" % number for number in range(10)))
            source = await transport.subscribe(bench.plan)
            first, second = await receive(source, 2, settle=False)
            source.drain()
            with pytest.raises(SourceEnded):
                await source.receive()
            first.accept()
            second.accept()
            assert await source.flush(SECONDS)
            await source.close()
            with pytest.raises(ClosedError):
                await source.receive()

    asyncio.run(run())
    assert bench.committed(0) == [2]
