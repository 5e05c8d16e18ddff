"""Waiting until all is settled: on causes, never on the clock."""

from __future__ import annotations

import asyncio

import pytest


async def take(source):
    (delivery,) = await source.receive()
    return delivery


@pytest.mark.parametrize("kind", ["queue", "topic", "stream"])
def test_waits_for_what_is_published_on_the_way(shop, kind):
    async def scenario():
        plan = shop.plan(shop.place(kind))
        source = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"cause")
        waiting = asyncio.create_task(shop.broker.settled())
        cause = await take(source)
        await shop.publish(plan.destination, b"consequence")
        cause.accept()
        consequence = await take(source)
        assert (shop.broker.outstanding, waiting.done()) == (1, False)
        consequence.accept()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["queue", "topic", "stream"])
def test_what_nobody_is_there_to_settle_is_not_waited_for(shop, kind):
    async def scenario():
        plan = shop.plan(shop.place(kind))
        source = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"x")
        waiting = asyncio.create_task(shop.broker.settled())
        await asyncio.sleep(0)
        assert shop.broker.outstanding == 1
        await source.close()
        await asyncio.wait_for(waiting, 1)
        assert shop.broker.outstanding == 0

    asyncio.run(scenario())


def test_a_retried_message_is_outstanding_and_a_rejected_one_is_not(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue"))
        source = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"x")
        (await take(source)).retry()
        assert shop.broker.outstanding == 1
        (await take(source)).reject([("why", "tried twice")])
        assert shop.broker.outstanding == 0
        assert [each.headers[-1] for each in shop.broker.dead_letters(plan)] == [("why", "tried twice")]

    asyncio.run(scenario())


def test_a_copy_counts_for_each_subscription(shop):
    async def scenario():
        topic = shop.place("topic")
        for name in ("first", "second"):
            await shop.subscribed(shop.plan(topic, name))
        await shop.publish(topic, b"x")
        assert shop.broker.outstanding == 2

    asyncio.run(scenario())
