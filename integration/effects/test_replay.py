"""A replay whose process is killed, or stopped, and gone on with: each effect happens once in the run all the same."""

from __future__ import annotations

import pytest

from integration.effects.child import STOPPED
from integration.effects.contracts import Ordered
from integration.effects.test_crashes import with_each_database

COUNT = 150
SEAMS = {
    "replay_kept": 2,
    "in_handler": 15,
    "after_commit": 2,
    "before_settle": 2,
}
"""At which time of reaching it a process dies: with work done, and work begun."""


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_a_replay_killed_at_each_seam_leaves_every_effect_once(new_scene):
    """One process after another goes on with the run, until it dies too. The stream holds some messages twice."""
    await with_each_database(killed_at_each, new_scene)


async def killed_at_each(new_scene, database):
    async with new_scene(database) as scene:
        await scene.publish(Ordered(order_id=f"{number:03}") for number in range(COUNT))
        for seam, nth in SEAMS.items():
            await scene.killed_at(seam, nth, run="r")
        assert await scene.replay("r") == 0
        await scene.check()


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_a_replay_that_is_stopped_by_a_signal_goes_on_where_it_stood(new_scene):
    await with_each_database(stopped_once, new_scene)


async def stopped_once(new_scene, database):
    async with new_scene(database, prefetch=10) as scene:
        orders = [Ordered(order_id=f"{number:02}", seconds=0.05) for number in range(40)]
        await scene.publish(orders, copies=False)
        assert await scene.replay("r", stop_after=3) == STOPPED
        assert len(scene.calls()) < len(orders)
        assert await scene.replay("r") == 0
        assert len(scene.calls()) == len(orders), "nothing of it is done again"
        await scene.check()
