"""Removing a topology leaves nothing of it, and all of what others use."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pika.exceptions import ChannelClosedByBroker

from busbridge.routing import Binding
from busbridge.transport import Entry
from integration.rabbitmq.bench import SECONDS

RESOURCE_LOCKED = 405


def still_there(bench, *, queues=(), exchanges=()):
    """Those of the names that the broker knows."""
    with bench.broker.connect() as connection:
        return [
            name
            for method, names in (("queue_declare", queues), ("exchange_declare", exchanges))
            for name in names
            if exists(connection.channel(), method, name)
        ]


def exists(channel, method, name):
    try:
        getattr(channel, method)(name, passive=True)
    except ChannelClosedByBroker as error:
        return error.reply_code == RESOURCE_LOCKED
    return True


def test_queues_exchanges_and_helpers_are_gone(any_bench):
    bench = any_bench
    orders, topic = bench.queue("orders", ordered=True, partitions=2), bench.topic()
    work, some = bench.plan(orders, "work", ordered=True), bench.plan(topic, "some")
    picky = bench.plan(topic, "picky", bindings=(Binding("eu.*", {"region": "eu"}),))
    brief = bench.plan(topic, "brief", durable=False)
    plans = (work, some, picky, brief)
    names = {
        "queues": [
            *(f"{orders.physical}.{end}" for end in ("0", "1", "dead", "members", "wanting", "0.owner")),
            *(each.dead_letters for each in plans),
            *(each.group for each in plans[1:]),
        ],
        "exchanges": [topic.physical, f"{topic.physical}.headers.eu.*"],
    }

    async def use_and_remove():
        async with bench.transport(orders, topic, *plans) as transport:
            sources = [await transport.subscribe(each) for each in plans]
            there = await asyncio.to_thread(still_there, bench, **names)
            for source in sources:
                await source.close()
            await transport.remove(bench.topology(orders, topic, *plans))
        return there

    there = asyncio.run(use_and_remove())
    assert {*names["exchanges"], *(each.dead_letters for each in plans)} <= set(there)
    assert still_there(bench, **names) == []


def test_an_exchange_behind_a_topic_of_somebody_else_stays_while_others_use_it(any_bench):
    bench = any_bench
    topic = bench.topic()
    region = (Binding("#", {"region": "eu"}),)
    theirs = bench.plan(topic, "theirs", bindings=region)
    mine = bench.plan(replace(topic, provision=False), "mine", bindings=region)
    behind = f"{topic.physical}.headers"

    async def remove_mine():
        async with bench.transport(topic, theirs, mine) as transport:
            await transport.remove(bench.topology(mine.destination, mine))
            source = await transport.subscribe(theirs)
            entry = Entry(topic, b"still", [("ce-id", "1"), ("region", "eu")], routing_key="any")
            await transport.publish([entry], SECONDS)
            (delivery,) = await source.receive()
            assert delivery.body == b"still"
            delivery.accept()
            await source.close()
            before = await asyncio.to_thread(
                still_there, bench, queues=[mine.group, mine.dead_letters], exchanges=[topic.physical, behind]
            )
            alone = replace(theirs, destination=mine.destination)
            await transport.remove(bench.topology(alone.destination, alone))
        return before

    assert asyncio.run(remove_mine()) == [topic.physical, behind]
    assert still_there(bench, exchanges=[topic.physical, behind]) == [topic.physical]
