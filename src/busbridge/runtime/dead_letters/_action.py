"""Write actions on dead letters, as they are written down: in the store of the service, where it has one."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from busbridge.envelope import new_id
from busbridge.runtime.dead_letters._canary import Canary
from busbridge.runtime.dead_letters._redriving import Done

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from busbridge.runtime.dead_letters._canary import CountBack
    from busbridge.runtime.dead_letters._letter import Which
    from busbridge.runtime.dead_letters._redriving import Refused
    from busbridge.store import Store

_log: Final = logging.getLogger("busbridge.dead_letters")


def _nothing(_: str) -> None: ...


@final
class Book:
    """Where actions are written down. Without a store they are logged."""

    def __init__(self, service: str, store: Callable[[], Awaitable[Store | None]]) -> None:
        """`store` opens the one that the service has, when the first action begins."""
        self._service = service
        self._store = store
        self._opened: Store | None = None

    @asynccontextmanager
    async def noted(self, what: str, which: Which, who: str) -> AsyncGenerator[Action]:
        """An action, written down before it begins, as it goes on, and how it ended. Raises StoreError."""
        self._opened = store = await self._store()
        action = Action(new_id(), store)
        await action.begin(what, which, who)
        try:
            yield action
        except BaseException as error:
            await action.end(f"stopped: {type(error).__name__}")
            raise
        await action.end("finished")
        _log.info("%s: %s of %s: %d by %s", self._service, what, which, action.done.count, who or "nobody named")

    def canary(self, count: int, seconds: float, count_back: CountBack) -> Canary:
        """What watches the first `count` of an action that is noted now."""
        return Canary(count, seconds, self._opened, count_back)


@final
class Action:
    """One action, and how far it has come."""

    def __init__(self, id: str, store: Store | None) -> None:  # noqa: A002 - the column
        self.done = Done(id, 0)
        self._store = store
        self.reached: Callable[[str], None] = _nothing

    @property
    def tried(self) -> int:
        """Dead letters that it has met so far."""
        return self.done.count + len(self.done.refused)

    async def begin(self, what: str, which: Which, who: str) -> None:
        """Writes it down."""
        if self._store is None:
            return
        from busbridge.outbox import reached  # noqa: PLC0415 - without a store nothing of SQL is imported
        from busbridge.store import begin_action  # noqa: PLC0415 - as above

        self.reached = reached
        await begin_action(self._store, self.done.id, what, which.subscription, str(which), who)

    async def went_on(self, count: int, refused: Sequence[Refused]) -> None:
        """So many more were done, and these were not."""
        self.done = replace(self.done, count=self.done.count + count, refused=(*self.done.refused, *refused))
        await self._write("running")

    async def end(self, state: str) -> None:
        """It has ended, whatever the reason."""
        await self._write(state)

    async def _write(self, state: str) -> None:
        if self._store is None:
            return
        from busbridge.store import write_action  # noqa: PLC0415 - without a store nothing of SQL is imported

        await write_action(self._store, self.done.id, self.done.count, len(self.done.refused), state)
