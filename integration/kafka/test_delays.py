"""Attempts that wait: a Kafka topic for each tier, read by this subscription alone, handed over when they are due."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from busbridge.errors import ClosedError, SourceEnded
from busbridge.routing import RetryPlan
from integration.kafka.bench import SECONDS, receive, until

SHORT, LONG = 0.3, 4.0
RETRY = RetryPlan(attempts=9, immediate=1, first=SHORT, longest=LONG, tiers=(SHORT, LONG))


@pytest.fixture
def bench(new_bench):
    return new_bench(partitions=2, ordered=False, retry=RETRY)


async def test_what_waits_comes_when_it_is_due_as_it_was_however_often(bench):
    seen = []
    async with bench.open() as transport:
        (position,) = await bench.write(transport, b"1", headers=[("ce_id", "1"), ("twice", b"1"), ("twice", None)])
        source = await transport.subscribe(bench.plan)
        short, _ = await transport.returning(bench.plan)
        (delivery,) = await receive(source, 1, settle=False)
        for attempt in range(1, 5):
            seen.append((time.monotonic(), delivery))
            assert delivery.later(0, attempt)
            assert not delivery.later(0, attempt)
            (delivery,) = await receive(short, 1, settle=False)
        delivery.reject([("busbridge-dead-reason", "failed")])
        assert await short.flush(SECONDS)
    assert [each.attempt for _, each in seen] == [1, 2, 3, 4]
    assert all(
        (each.body, each.key, each.position, list(each.headers)) == (b"1", b"key", position, list(seen[0][1].headers))
        for _, each in seen
    )
    assert all(later[0] - earlier[0] >= SHORT for earlier, later in pairwise(seen))
    (letter,) = bench.read(bench.plan.dead_letters, 1)
    assert (letter.key(), letter.value()) == (b"key", b"1")
    assert [name for name, _ in letter.headers()][:5] == [
        *("ce_id", "twice", "twice", "busbridge-dead-reason"),  # nothing of its waiting
        "__connect.errors.topic",
    ]


async def test_a_short_wait_is_not_held_up_by_long_ones_more_than_a_member_may_hold(new_bench):
    """T21: each length has a Kafka topic of its own, and a bound of its own on what is held."""
    bench = new_bench(partitions=1, ordered=False, retry=RETRY, prefetch=5)
    async with bench.open() as transport:
        await bench.write(transport, *[b"long"] * 20, b"short")
        source = await transport.subscribe(bench.plan)
        short, _ = await transport.returning(bench.plan)
        put_off = 0
        while put_off < 21:
            for delivery in await source.receive():
                delivery.later(0 if delivery.body == b"short" else 1, 1)
                put_off += 1
        begin = time.monotonic()
        (first,) = await receive(short, 1)
        assert first.body == b"short"
        assert time.monotonic() - begin < LONG / 2


async def test_a_member_that_waits_stays_in_its_group_and_what_it_holds_goes_to_another_when_it_leaves(bench):
    bench.settings = type(bench.settings)("kafka", bench.broker.url, client={"session.timeout.ms": "6000"})
    async with bench.open() as second:
        async with bench.open() as first:
            await bench.write(first, b"1")
            source = await first.subscribe(bench.plan)
            tiers = await first.returning(bench.plan)
            (delivery,) = await receive(source, 1, settle=False)
            delivery.later(1, 1)
            assert await source.flush(SECONDS)
            holding = asyncio.create_task(tiers[1].receive())
            await until(lambda: "1 wait" in repr(tiers[1]))
            others = await second.returning(bench.plan)
            taking = asyncio.create_task(others[1].receive())
            begin = time.monotonic()
        with pytest.raises((SourceEnded, ClosedError)):
            await holding
        (again,) = await asyncio.wait_for(taking, SECONDS)
        again.accept()
        assert (again.body, again.attempt) == (b"1", 2)
        assert time.monotonic() - begin < 20


async def test_it_is_finished_in_the_stream_only_when_its_place_of_waiting_has_it(bench):
    async with bench.open() as transport:
        await bench.write(transport, b"1", b"2", key="same")
        source = await transport.subscribe(bench.plan)
        one, two = await receive(source, 2, settle=False)
        two.accept()
        partition = one.position.partition
        assert await source.flush(SECONDS)
        assert bench.committed(partition)[0] <= 0
        one.later(1, 1)
        assert await source.flush(SECONDS)
        assert bench.committed(partition) == [2]


async def test_its_places_are_provisioned_and_removed_with_the_subscription(bench):
    from busbridge.routing import Topology

    async with bench.open() as transport:
        there = bench.broker.admin().list_topics(timeout=10).topics
        assert set(bench.plan.waiting) <= set(there)
        assert all(len(there[name].partitions) == 2 for name in bench.plan.waiting)
        await transport.remove(Topology((bench.stream,), (bench.plan,)))
        assert not set(bench.plan.waiting) & set(bench.broker.admin().list_topics(timeout=10).topics)
