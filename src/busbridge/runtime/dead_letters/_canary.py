"""The first few of a redrive, watched before the rest follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import CanaryFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.dead_letters._action import Action
    from busbridge.runtime.dead_letters._redriving import Done
    from busbridge.store import Store

    CountBack = Callable[[SubscriptionPlan, str], Awaitable[int]]
    """How many that a redrive brought are dead letters of a subscription again."""

_LOOK: Final = 0.5
"""Seconds between two looks at the store."""


@final
class Canary:
    """Watches the first `count` that an action sends."""

    def __init__(self, count: int, seconds: float, store: Store | None, count_back: CountBack) -> None:
        self._count = count
        self._seconds = seconds
        self._store = store
        self._count_back = count_back
        self._sent_to: list[SubscriptionPlan] = []
        self._over = False

    def room(self, tried: int) -> int:
        """How many of the first are not sent yet; 0 once they were watched."""
        return 0 if self._over else self._count - tried

    async def sent(self, plan: SubscriptionPlan, action: Action) -> None:
        """Some more were sent to a subscription. Waits when these were the last of the first; raises CanaryFailed."""
        if plan not in self._sent_to:
            self._sent_to.append(plan)
        if action.tried >= self._count:
            await self.watch(action)

    async def watch(self, action: Action) -> None:
        """Waits for the end of those that were sent, unless that was done before; raises CanaryFailed."""
        if self._over or not action.tried:
            return
        self._over = True
        handled, dead = await self._seen(action.done)
        if dead or action.done.refused or (handled is not None and handled < action.done.count):
            raise CanaryFailed(action.done.id, action.done.count, handled, dead)

    async def _seen(self, done: Done) -> tuple[int | None, int]:
        """How many were handled, if that can be known, and how many are dead again: once all ended, or time is up."""
        handled = dead = 0
        try:
            async with asyncio.timeout(self._seconds):
                while handled + dead < done.count:
                    await asyncio.sleep(_LOOK)
                    if self._store is not None:
                        handled, dead = await _ended(self._store, done.id)
        except TimeoutError:
            dead = max(dead, await self._dead_again(done.id))
        return None if self._store is None else handled, dead

    async def _dead_again(self, redrive: str) -> int:
        return sum([await self._count_back(plan, redrive) for plan in self._sent_to])


async def _ended(store: Store, redrive: str) -> tuple[int, int]:
    from busbridge.store import ended_by_redrive  # noqa: PLC0415 - without a store nothing of SQL is imported

    return await ended_by_redrive(store, redrive)
