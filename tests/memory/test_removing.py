"""Removing a topology: what was created for it is gone with its messages, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from busbridge.errors import TopologyMismatch
from busbridge.routing import Topology
from busbridge.transport import Status


def topology(*plans):
    return Topology(tuple({each.destination.name: each.destination for each in plans}.values()), plans)


@pytest.mark.parametrize("kind", ["queue", "topic", "stream"])
async def test_provisioned_again_it_is_empty(shop, kind):
    plan = shop.plan(shop.place(kind))
    source = await shop.subscribed(plan)
    await shop.publish(plan.destination, b"read")
    (delivery,) = await source.receive()
    delivery.reject(())
    await shop.publish(plan.destination, b"unread")
    await source.close()

    await shop.transport.remove(topology(plan))

    again = await shop.subscribed(plan)
    await shop.publish(plan.destination, b"new")
    assert [each.body for each in await again.receive()] == [b"new"]
    assert shop.broker.dead_letters(plan) == []


@pytest.mark.parametrize("kind", ["queue", "topic", "stream"])
async def test_what_is_not_there_is_fine(shop, kind):
    plan = shop.plan(shop.place(kind))
    await shop.transport.remove(topology(plan))
    await shop.provision(plan)
    await shop.transport.remove(topology(plan))
    await shop.transport.remove(topology(plan))
    (outcome,) = await shop.publish(plan.destination, b"lost")
    assert outcome.status is Status.REFUSED


async def test_what_expired_unread_is_gone_too(shop):
    queue = shop.place("queue", ttl=timedelta(seconds=1))
    plan = shop.plan(queue)
    await shop.provision(plan)
    await shop.publish(queue, b"late")
    shop.clock.seconds += 2
    assert len(shop.broker.dead_letters(plan)) == 1

    await shop.transport.remove(topology(plan))

    assert shop.broker.dead_letters(plan) == []


async def test_a_destination_of_somebody_else_stays_and_loses_only_the_subscription(shop):
    topic, theirs = shop.place("topic"), shop.place("topic", provision=False)
    kept, mine = shop.plan(topic, "kept"), shop.plan(theirs, "mine")
    await shop.provision(kept)
    await shop.transport.provision(topology(mine))

    await shop.transport.remove(topology(mine))

    with pytest.raises(TopologyMismatch):
        await shop.transport.subscribe(mine)
    source = await shop.transport.subscribe(kept)
    await shop.publish(topic, b"still")
    assert [each.body for each in await source.receive()] == [b"still"]


async def test_nobody_waits_for_what_was_removed(shop):
    plan = shop.plan(shop.place("queue"))
    source = await shop.subscribed(plan)
    await shop.publish(plan.destination, b"one")
    assert shop.broker.outstanding == 1

    await shop.transport.remove(topology(plan))
    await shop.broker.settled()

    await source.close()
    assert shop.broker.outstanding == 0


async def test_a_source_that_is_not_durable_may_close_after_it(shop):
    plan = shop.plan(shop.place("topic"), durable=False)
    source = await shop.subscribed(plan)
    await shop.transport.remove(Topology((), (plan,)))
    await source.close()
