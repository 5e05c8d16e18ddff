"""The crash matrix is sharp: a pipeline with one promise broken fails it (T27)."""

from __future__ import annotations

import pytest

from integration.effects.contracts import Ordered

COUNT = 60


async def crash(new_scene, database, seam, saboteur):
    """What `test_crashes` does at this seam."""
    async with new_scene(database, concurrency=1) as scene:
        await scene.publish(Ordered(order_id=f"{number:03}") for number in range(COUNT))
        await scene.killed_at(seam, 2, saboteur=saboteur)
        await scene.finish()
        await scene.check()


@pytest.mark.parametrize(("broker", "database"), [("rabbitmq", "sqlite"), ("kafka", "postgresql")], indirect=["broker"])
async def test_settling_before_the_commit_is_noticed(new_scene, database):
    with pytest.raises(AssertionError, match="without their effect"):
        await crash(new_scene, database, "before_commit", "settled_before_commit")


@pytest.mark.parametrize(("broker", "database"), [("rabbitmq", "postgresql"), ("kafka", "sqlite")], indirect=["broker"])
async def test_an_inbox_that_is_committed_apart_from_the_effects_is_noticed(new_scene, database):
    with pytest.raises(AssertionError, match="with their effect more than once"):
        await crash(new_scene, database, "after_commit", "inbox_committed_apart")
