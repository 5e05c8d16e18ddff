"""A process is killed at every seam of a message's way: each effect happens once all the same, and nothing is lost.

At each seam on each broker with each database. Batches hold ten messages; some messages are there twice.
"""

from __future__ import annotations

from itertools import product

import pytest

from integration.effects.contracts import Ordered

SEAMS = {
    "received": 2,
    "in_transaction": 2,
    "in_handler": 15,
    "before_commit": 2,
    "after_commit": 2,
    "before_settle": 2,
    "relay_before_publish": 2,
    "relay_after_publish": 2,
    "timer_claimed": 2,
}
"""At which time of reaching it the first process dies: with work done, and work begun."""
COUNT = 60
DELAYED = {"ordered": False, "retry": {"attempts": 9, "immediate": 1, "first": "50ms", "backoff": "fixed"}}
"""Attempts that fail wait among the timers, which would break an order."""
PLACES = list(product(("rabbitmq", "kafka"), ("sqlite", "postgresql")))


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize(("broker", "database"), PLACES, indirect=True)
async def test_a_process_killed_at_any_seam_leaves_every_effect_once(new_scene, seam):
    delayed = seam == "timer_claimed"
    async with new_scene(**DELAYED if delayed else {}) as scene:
        await scene.publish(
            Ordered(order_id=f"{number:03}", failures=int(delayed and number % 3 == 0)) for number in range(COUNT)
        )
        await scene.killed_at(seam, SEAMS[seam])
        await scene.finish()
        await scene.check()
