"""One writer at a time: who comes when, and who would wait for ever."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.errors import StoreError
from busbridge.store import _turns
from busbridge.store._turns import Turns


class Scene:
    def __init__(self):
        self.turns = Turns("SQLite of a test")
        self.order = []
        self.tasks = []

    async def ask(self, name, *, first=False):
        """Begins a task that takes a turn and notes its name; returns once it has asked."""

        async def take():
            async with self.turns.turn(first=first):
                self.order.append(name)

        self.tasks.append(asyncio.create_task(take()))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def all(self):
        async with asyncio.timeout(5):
            await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.order


@pytest.fixture
def scene():
    return Scene()


async def test_turns_come_in_the_order_of_asking_and_those_that_go_first_before_all_that_wait(scene):
    async with scene.turns.turn():
        for name in ("a", "b"):
            await scene.ask(name)
        for name in ("relay", "timers"):
            await scene.ask(name, first=True)
    assert await scene.all() == ["relay", "timers", "a", "b"]


async def test_who_is_cancelled_while_waiting_is_passed_over(scene):
    async with scene.turns.turn():
        gone = await scene.ask("gone")
        await scene.ask("next")
        gone.cancel()
    assert await scene.all() == ["next"]
    assert gone.cancelled(), "and not ended by an error"


async def test_a_turn_that_has_come_to_one_who_is_cancelled_goes_on_to_the_next(scene):
    async with scene.turns.turn():
        gone = await scene.ask("gone")
        await scene.ask("next")
    gone.cancel()  # its turn has come, and it has not noticed yet
    assert await scene.all() == ["next"]


async def test_a_turn_inside_another_is_refused_at_once(scene):
    async with scene.turns.turn():
        with pytest.raises(StoreError, match="would wait for itself"):
            async with scene.turns.turn():
                pass
    assert await (await scene.ask("after")) is None


async def test_a_turn_of_a_task_that_a_turn_waits_for_is_refused(scene, monkeypatch):
    monkeypatch.setattr(_turns, "_NESTED_SECONDS", 0.01)
    async with scene.turns.turn():
        child = await scene.ask("child")
        with pytest.raises(StoreError, match="would wait for itself"):
            await child
    await scene.ask("after")
    assert await scene.all() == ["after"]


async def test_a_task_that_outlives_the_turn_in_which_it_was_begun_has_its_own(scene):
    async with scene.turns.turn():
        await scene.ask("later")
    assert await scene.all() == ["later"]
