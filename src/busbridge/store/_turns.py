"""Whose turn it is where only one may write."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_NESTED_SECONDS: Final = 5.0
"""How long a task waits that was begun in a turn which has not ended, and which may be waiting for this very task."""


@final
class Turns:
    """One at a time, in the order of asking; who asks to go first waits for the one whose turn it is alone."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._holder: object | None = None
        self._task: asyncio.Task[object] | None = None
        self._first: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._within: ContextVar[object | None] = ContextVar("busbridge_turn", default=None)
        """The turn in which the current task was begun, or that it has."""

    @asynccontextmanager
    async def turn(self, *, first: bool = False) -> AsyncGenerator[None]:
        """A turn, until the block is left.

        StoreError for one inside another of the same task, at once; and for one of a task that was begun inside of
        another, where that does not end within 5 s: most likely it waits for that task.
        """
        await self._wait(first=first)
        self._task = asyncio.current_task()
        self._holder = turn = object()
        self._within.set(turn)
        try:
            yield
        finally:
            self._within.set(None)
            self._pass_on()

    async def _wait(self, *, first: bool) -> None:
        if self._holder is None:
            self._holder = self
        elif self._task is not None and self._task is asyncio.current_task():
            raise self._refusal()
        elif self._within.get() is self._holder:
            await self._wait_within(first=first)
        else:
            await self._line_up(first=first)

    async def _wait_within(self, *, first: bool) -> None:
        limit = asyncio.timeout(_NESTED_SECONDS)
        try:
            async with limit:
                await self._line_up(first=first)
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._refusal() from None

    async def _line_up(self, *, first: bool) -> None:
        line = self._first if first else self._others
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it has come meanwhile
                self._pass_on()
            elif turn in line:  # else it was passed over, just before this task has heard that it is cancelled
                line.remove(turn)
            raise

    def _pass_on(self) -> None:
        self._task = None
        for line in (self._first, self._others):
            while line:
                turn = line.popleft()
                if not turn.done():
                    self._holder = self
                    turn.set_result(None)
                    return
        self._holder = None

    def _refusal(self) -> StoreError:
        return StoreError(self._database, "a transaction inside a transaction would wait for itself for ever")
