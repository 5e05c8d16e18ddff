"""Queues and the mailboxes of topics: who gets a message, in which order, and where it goes when nobody does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from busbridge.errors import SourceEnded, StaleDelivery, TopologyMismatch
from busbridge.routing import Binding, Topology


def bodies(deliveries):
    return [each.body for each in deliveries]


def test_members_share_what_waits(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue"))
        first, second = await shop.subscribed(plan), await shop.subscribed(plan)
        await shop.publish(plan.destination, *[b"x"] * 10)
        assert [len(await first.receive()), len(await second.receive())] == [5, 3]

    asyncio.run(scenario())


def test_what_a_member_leaves_unsettled_goes_back_to_its_old_place(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue"), prefetch=2)
        leaver, stayer = await shop.subscribed(plan), None
        await shop.publish(plan.destination, b"1", b"2", b"3")
        held = await leaver.receive()
        await leaver.close()
        stayer = await shop.subscribed(plan)
        again = await stayer.receive()
        assert bodies(again) == [b"1", b"2"]
        assert all(each.redelivered for each in again)
        with pytest.raises(StaleDelivery):
            held[0].accept()

    asyncio.run(scenario())


def test_a_cancelled_wait_loses_nothing_and_wakes_another(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue"))
        first, second = await shop.subscribed(plan), await shop.subscribed(plan)
        waiting = [asyncio.create_task(each.receive()) for each in (first, second)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await shop.publish(plan.destination, b"x")
        waiting[0].cancel()
        done, _ = await asyncio.wait(waiting, timeout=1)
        assert bodies(waiting[1].result()) == [b"x"]
        assert len(done) == 2

    asyncio.run(scenario())


def test_an_ordered_queue_hands_over_one_message_of_a_key_at_a_time(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue", ordered=True), ordered=True)
        first, second = await shop.subscribed(plan), await shop.subscribed(plan)
        await shop.publish(plan.destination, b"a1", b"a2", key="a")
        await shop.publish(plan.destination, b"b1", key="b")
        taken = [*await first.receive(), *await second.receive()]
        assert bodies(taken) == [b"a1", b"b1"]
        taken[0].retry()
        (again,) = await first.receive()
        assert (again.body, again.attempt) == (b"a1", 2)
        again.accept()
        assert bodies(await second.receive()) == [b"a2"]

    asyncio.run(scenario())


def test_an_ordered_queue_keeps_the_order_of_a_key_over_a_lost_connection(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue", ordered=True), ordered=True)
        source = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"a1", b"a2", key="a")
        await source.receive()
        shop.broker.sever()
        (again,) = await source.receive()
        assert again.body == b"a1"
        again.accept()
        assert bodies(await source.receive()) == [b"a2"]

    asyncio.run(scenario())


def test_what_nobody_reads_in_time_becomes_a_dead_letter(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue", ttl=timedelta(seconds=30)))
        await shop.provision(plan)
        await shop.publish(plan.destination, b"old")
        shop.clock.seconds += 30
        await shop.publish(plan.destination, b"new")
        source = await shop.subscribed(plan)
        assert bodies(await source.receive()) == [b"new"]
        (dead,) = shop.broker.dead_letters(plan)
        assert dead.body == b"old"
        assert ("busbridge-dead-reason", "expired") in dead.headers

    asyncio.run(scenario())


def test_a_draining_source_hands_over_what_is_tried_again_and_then_ends(shop):
    async def scenario():
        plan = shop.plan(shop.place("queue"), prefetch=1)
        source = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"1", b"2")
        (first,) = await source.receive()
        first.retry()
        source.drain()
        (again,) = await source.receive()
        again.accept()
        with pytest.raises(SourceEnded):
            await source.receive()
        await source.close()

    asyncio.run(scenario())


def test_a_copy_for_each_subscription_and_one_for_several_bindings(shop):
    async def scenario():
        topic = shop.place("topic")
        twice = shop.plan(topic, "twice", bindings=(Binding("shop.#"), Binding("*.order")))
        other = shop.plan(topic, "other", bindings=(Binding("stock.#"),))
        sources = [await shop.subscribed(each) for each in (twice, other)]
        await shop.publish(topic, b"x", routing_key="shop.order")
        await shop.publish(topic, b"y", routing_key="stock.low")
        assert [bodies(await each.receive()) for each in sources] == [[b"x"], [b"y"]]

    asyncio.run(scenario())


def test_a_binding_that_is_added_later_takes_effect(shop):
    async def scenario():
        topic = shop.place("topic")
        source = await shop.subscribed(shop.plan(topic, bindings=(Binding("a"),)))
        await shop.publish(topic, b"before", routing_key="b")
        await shop.provision(shop.plan(topic, bindings=(Binding("b"),)))
        await shop.publish(topic, b"after", routing_key="b")
        assert bodies(await source.receive()) == [b"after"]

    asyncio.run(scenario())


def test_what_exists_otherwise_is_refused_with_the_difference(shop):
    async def scenario():
        await shop.provision(shop.place("queue", max_length=10))
        with pytest.raises(TopologyMismatch, match="max_length is 10, not 20"):
            await shop.provision(shop.place("queue", max_length=20))

    asyncio.run(scenario())


def test_what_must_not_be_created_must_be_there(shop):
    async def scenario():
        with pytest.raises(TopologyMismatch, match="must not be created"):
            await shop.provision(shop.place("queue", provision=False))
        await shop.provision(shop.place("queue"))
        await shop.provision(shop.place("queue", provision=False))

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["queue", "topic", "stream"])
def test_subscribing_to_what_was_not_provisioned_is_an_error(shop, kind):
    async def scenario():
        with pytest.raises(TopologyMismatch, match="not provisioned"):
            await shop.transport.subscribe(shop.plan(shop.place(kind)))
        await shop.transport.provision(Topology())

    asyncio.run(scenario())
