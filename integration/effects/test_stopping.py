"""A process that is stopped in the middle of a batch: in time, or cut off by its grace. With both databases each."""

from __future__ import annotations

import pytest

from integration.effects.contracts import Ordered
from integration.effects.test_crashes import BROKERS, with_each_database

COUNT = 60


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_a_graceful_stop_in_the_middle_of_a_batch_handles_every_message_once(new_scene):
    """Also by the handler's own count, which no transaction takes back."""
    await with_each_database(stopped_in_time, new_scene)


async def stopped_in_time(new_scene, database):
    async with new_scene(database, prefetch=20) as scene:
        orders = [Ordered(order_id=f"{number:03}", seconds=0.02) for number in range(COUNT)]
        await scene.publish(orders, copies=False)  # of two in different lanes, both are handled, and one is undone
        await scene.stopped_at(calls=13)
        assert len(scene.calls()) < COUNT
        await scene.finish()
        await scene.check()
        assert len(scene.calls()) == COUNT


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
async def test_what_a_stop_cuts_off_in_the_middle_of_a_batch_leaves_every_effect_once(new_scene):
    """The grace is shorter than what a batch takes: its transaction is rolled back, and all of it comes again."""
    await with_each_database(cut_off, new_scene)


async def cut_off(new_scene, database):
    async with new_scene(database) as scene:
        scene.config["stop"]["grace"] = "50ms"
        await scene.publish(Ordered(order_id=f"{number:03}", seconds=0.2) for number in range(COUNT // 5))
        await scene.stopped_at(calls=4)
        scene.config["stop"]["grace"] = "5s"
        await scene.finish()
        await scene.check()
        assert len(scene.calls()) > COUNT // 5
