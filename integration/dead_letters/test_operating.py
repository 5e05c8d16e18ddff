"""Dead letters on real brokers: seen without being taken, sent to one subscription again, gone for good."""

from __future__ import annotations

import asyncio

from busbridge.routing import load
from busbridge.runtime import InstalledTransports, Which, dead_letters_of
from integration.dead_letters.conftest import until

COUNT = 12


async def test_redriven_messages_reach_the_failing_subscription_alone_once_and_then_are_gone(scene):
    async with scene.open() as bus:
        await scene.die(bus, COUNT)
        scene.broken = False
        scene.handled.clear()
        done = await bus.dead_letters().redrive()
        assert (done.count, done.refused) == (COUNT, ())
        await until(lambda: len(scene.handled) >= COUNT)
        assert sorted(scene.handled) == [(f"{number:03}", 1, done.id) for number in range(COUNT)]
        assert await scene.ids(bus) == []
        assert sorted(scene.heard) in ([], [f"{number:03}" for number in range(COUNT)])


async def test_looking_takes_nothing_and_keeps_the_order(scene):
    async with scene.open() as bus:
        await scene.die(bus, COUNT)
        first = await scene.ids(bus)
        reading = bus.dead_letters().read()
        await anext(reading)
        await reading.aclose()
        again = await scene.ids(bus)
        assert again == first or (scene.partitioned and sorted(again) == sorted(first))
        assert len(set(first)) == COUNT


async def test_what_is_discarded_is_gone_for_the_next_process_too_and_the_rest_is_not(scene):
    async with scene.open() as bus:
        await scene.die(bus, 4)
        gone = [letter async for letter in bus.dead_letters().read()][1]
        assert (await bus.dead_letters().discard(Which(ids=frozenset({gone.id})))).count == 1
        async with dead_letters_of(scene.stock, load(scene.config), InstalledTransports()) as elsewhere:
            left = [letter.id async for letter in elsewhere.read()]
            assert (len(left), gone.id in left) == (3, False)


async def test_what_fails_again_is_not_met_twice(scene):
    async with scene.open() as bus:
        await scene.die(bus, 3)
        done = await bus.dead_letters().redrive(rate=10)
        assert done.count == 3
        await until(lambda: bus.counts["reserve"].dead.total() == 6)
        async with asyncio.timeout(30):
            while len(found := [letter async for letter in bus.dead_letters().read()]) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [letter.record.redrive for letter in found] == [done.id] * 3
