"""Attempts that wait: a queue for each tier, from which RabbitMQ hands a message back to its subscription alone."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pika

from busbridge.routing import RetryPlan
from integration.rabbitmq.bench import SECONDS, entries, entry, leave, take

SHORT, LONG = 0.3, 3.0
RETRY = RetryPlan(attempts=9, immediate=1, first=SHORT, longest=LONG, tiers=(SHORT, LONG))


def test_what_waits_comes_when_it_is_due_as_it_was_however_often(any_bench):
    """What the broker notes of a wait is taken off: with it, the broker would see a cycle and drop the message."""
    queue = any_bench.queue()
    plan = any_bench.plan(queue, retry=RETRY)
    seen = []

    async def consume():
        async with any_bench.transport(queue, plan) as transport:
            await transport.publish([entry(queue, 1)], SECONDS)
            source = await transport.subscribe(plan)
            for attempt in range(1, 5):
                (delivery,) = await take(source, 1)
                seen.append((time.monotonic(), delivery))
                assert delivery.later(0, attempt)
                assert not delivery.later(0, attempt)
            (delivery,) = await take(source, 1)
            delivery.accept()
            await leave(source)

    asyncio.run(consume())
    assert [each.attempt for _, each in seen] == [1, 2, 3, 4]
    assert all((each.body, each.headers) == (b"1", seen[0][1].headers) for _, each in seen)
    assert all(later[0] - earlier[0] >= SHORT for earlier, later in pairwise(seen))
    assert [any_bench.count(name) for name in (queue.physical, *plan.waiting)] == [0, 0, 0]


def test_a_short_wait_is_not_held_up_by_a_long_one(bench):
    """T21: RabbitMQ lets go of a queue's head only, so each length has a queue of its own."""
    queue = bench.queue()
    plan = bench.plan(queue, retry=RETRY)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 2), SECONDS)
            source = await transport.subscribe(plan)
            long, short = await take(source, 2)
            long.later(1, 1)
            await source.flush(SECONDS)
            short.later(0, 1)
            begin = time.monotonic()
            (first,) = await take(source, 1)
            waited = time.monotonic() - begin
            first.accept()
            await leave(source)
            return first.body, waited

    body, waited = asyncio.run(consume())
    assert body == b"1"
    assert SHORT <= waited < LONG / 2


def test_only_the_subscription_that_put_it_off_gets_it_again(bench):
    topic = bench.topic()
    one, other = bench.plan(topic, "one", retry=RETRY), bench.plan(topic, "other", retry=RETRY)

    async def consume():
        async with bench.transport(topic, one, other) as transport:
            await transport.publish([entry(topic, 1, routing_key="shop")], SECONDS)
            source = await transport.subscribe(one)
            (delivery,) = await take(source, 1)
            delivery.later(0, 3)
            (again,) = await take(source, 1)
            again.accept()
            await leave(source)
            return again.attempt

    assert asyncio.run(consume()) == 4
    assert bench.count(other.group) == 1


def test_it_is_acknowledged_only_when_a_queue_has_its_copy(bench):
    """The queue is gone: it is declared again, and meanwhile the message stays where it was."""
    queue = bench.queue()
    plan = bench.plan(queue, retry=RETRY)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish([entry(queue, 1)], SECONDS)
            source = await transport.subscribe(plan)
            (delivery,) = await take(source, 1)
            with bench.broker.connect() as connection:
                connection.channel().queue_delete(plan.waiting[0])
            delivery.later(0, 1)
            (again,) = await take(source, 1)
            again.accept()
            await leave(source)
            return again.attempt

    assert asyncio.run(consume()) == 2


def test_who_writes_our_headers_himself_gains_no_attempts_and_loses_nothing(bench):
    queue = bench.queue()
    plan = bench.plan(queue, retry=RETRY)
    headers = {"busbridge-waiting-attempts": "8", "x-mine": "1"}

    async def consume():
        async with bench.transport(queue, plan) as transport:
            bench.write(queue.physical, b"1", pika.BasicProperties(headers=headers))
            source = await transport.subscribe(plan)
            (delivery,) = await take(source, 1)
            delivery.accept()
            await leave(source)
            return delivery

    delivery = asyncio.run(consume())
    assert (delivery.attempt, dict(delivery.headers)) == (1, headers)


def test_its_places_are_removed_with_the_subscription(bench):
    queue = bench.queue()
    plan = bench.plan(queue, retry=RETRY)

    async def provision_and_remove():
        async with bench.transport(queue, plan) as transport:
            assert [bench.count(name) for name in plan.waiting] == [0, 0]
            await transport.remove(bench.topology(queue, plan))

    asyncio.run(provision_and_remove())
    assert [name for name in plan.waiting if _is_there(bench, name)] == []


def _is_there(bench, name):
    with bench.broker.connect() as connection:
        try:
            connection.channel().queue_declare(name, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True
