"""A process is killed while it moves a message to the dead letters, or while it sends dead letters again."""

from __future__ import annotations

import pytest

from integration.effects.contracts import Ordered

COUNT = 30
PAIRS = [
    ("rabbitmq", "postgresql"),
    ("kafka", "sqlite"),
    pytest.param("rabbitmq", "sqlite", marks=pytest.mark.faults),
    pytest.param("kafka", "postgresql", marks=pytest.mark.faults),
]
ONCE = {"retry": {"attempts": 1}, "pause": {"after": 0}}
"""All that fails is dead at once, however much of it."""
BAD = frozenset(f"{number:03}" for number in range(0, COUNT, 3))


@pytest.mark.parametrize(("broker", "database"), PAIRS, indirect=["broker"])
async def test_a_process_killed_between_a_dead_letter_and_its_settlement_loses_none(new_scene, database):
    """It comes again, its row says that it is dead, and a second dead letter does less harm than none."""
    async with new_scene(database, **ONCE) as scene:
        orders = [f"{number:03}" for number in range(COUNT)]
        await scene.publish((Ordered(order_id=each, failures=99 * (each in BAD)) for each in orders), copies=False)
        await scene.killed_at("dead_letter_confirmed", 3)
        await scene.finish()
        await scene.check(dead=BAD)
        assert (await scene.dead()).keys() == BAD


@pytest.mark.parametrize(("broker", "database"), PAIRS, indirect=["broker"])
async def test_a_redrive_killed_between_sending_and_removing_and_repeated_leaves_every_effect_once(new_scene, database):
    """Ten are removed, ten are there twice, ten were not sent when it dies."""
    async with new_scene(database, **ONCE) as scene:
        await scene.publish((Ordered(order_id=f"{each:03}", failures=99) for each in range(COUNT)), copies=False)
        await scene.until_dead(COUNT)
        await scene.redrive(killed_at=2)
        await scene.redrive()
        assert not await scene.dead()
        await scene.finish(mended=True)
        await scene.check()
