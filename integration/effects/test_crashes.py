"""A process is killed at every seam of a message's way: each effect happens once all the same, and nothing is lost.

At each seam on each broker with each database. Batches hold ten messages; some messages are there twice.
"""

from __future__ import annotations

import asyncio
from itertools import count, islice

import pytest

from busbridge.outbox import CRASHES
from integration.effects.contracts import Ordered

BROKERS = ("rabbitmq", "kafka")
DATABASES = ("sqlite", "postgresql")
COUNT = 60
MORE = 6
SEAMS = {
    "received": 4,
    "in_transaction": 3,
    "in_handler": 15,
    "before_commit": 2,
    "after_commit": 2,
    "before_settle": 2,
    "relay_before_publish": 2,
    "relay_after_publish": 2,
    "timer_claimed": 2,
}
"""At which time of reaching it the first process dies: with work done, and work begun."""
DELAYED = {"ordered": False, "retry": {"attempts": 9, "immediate": 1, "first": "50ms", "backoff": "fixed"}}
"""Attempts that fail wait among the timers, which would break an order."""


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_a_process_killed_at_any_seam_leaves_every_effect_once(new_scene, seam):
    """With both databases, at the same time, since what takes long is that others wait for the dead."""
    await with_each_database(killed_once, new_scene, seam)


async def with_each_database(story, new_scene, *arguments):
    async with asyncio.TaskGroup() as both:
        for database in DATABASES:
            both.create_task(story(new_scene, database, *arguments))


async def killed_once(new_scene, database, seam):
    """More keeps coming until it is dead: a process that finds all at once may reach a seam only once."""
    delayed = seam == "timer_claimed"
    orders = (Ordered(order_id=f"{number:03}", failures=int(delayed and number % 3 == 0)) for number in count())
    async with new_scene(database, **DELAYED if delayed else {}) as scene:
        await scene.publish(islice(orders, COUNT))
        async with asyncio.TaskGroup() as both:
            death = both.create_task(scene.killed_at(seam, SEAMS[seam]))
            while (await asyncio.wait([death], timeout=0.5))[1]:
                await scene.publish(islice(orders, MORE))
        await scene.finish()
        await scene.check()


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_a_commit_whose_answer_is_lost_leaves_every_effect_once(new_scene):
    """The process lives, and can't know: it asks the inbox, by handling the same messages again."""
    await with_each_database(answers_lost, new_scene)


async def answers_lost(new_scene, database):
    async with new_scene(database) as scene:
        await scene.publish(Ordered(order_id=f"{number:03}") for number in range(COUNT))
        await scene.finish(losing=3)
        await scene.check()
        assert "its answer was lost" in scene._log()


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_an_attempt_that_takes_too_long_leaves_nothing_and_takes_no_other_with_it(new_scene):
    await with_each_database(timed_out, new_scene)


async def timed_out(new_scene, database):
    slow = frozenset(f"{number:03}" for number in range(4, COUNT, 20))
    limited = {"retry": {"attempts": 2, "limit": "200ms"}, "pause": {"after": 0}}
    async with new_scene(database, **limited) as scene:
        orders = [f"{number:03}" for number in range(COUNT)]
        await scene.publish(Ordered(order_id=each, seconds=30 * (each in slow)) for each in orders)
        await scene.finish()
        await scene.check(dead=slow)


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_a_message_that_kills_its_process_dies_and_takes_no_other_with_it(new_scene):
    """Nobody had the message before, so that the first death is not noted."""
    await with_each_database(killed_by_one, new_scene)


async def killed_by_one(new_scene, database):
    async with new_scene(database) as scene:
        await scene.publish(Ordered(order_id=f"{number:03}", deadly=number == 14) for number in range(COUNT // 2))
        for _ in range(1 + CRASHES):
            await scene.killed_by_a_message()
        await scene.finish()
        await scene.check(dead=frozenset(["014"]))


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_copies_that_are_handled_beside_each_other_after_a_crash_are_no_crashes(new_scene, database):
    """Each message is there five times, in lanes that work at the same time: none of it is taken for one that kills."""
    async with new_scene(database, concurrency=5) as scene:
        for _ in range(5):
            await scene.publish(Ordered(order_id=f"{number:03}") for number in range(10))
        await scene.killed_at("in_transaction", 1)
        await scene.finish()
        await scene.check()
