"""The progress of replay runs in the store, so that another process can go on where one has died."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

from busbridge.envelope import new_id
from busbridge.errors import ReplayTaken, StoreUnavailable
from busbridge.outbox import Outage, reached
from busbridge.store import RunRow

if TYPE_CHECKING:
    from busbridge.runtime.replays._progress import Progress
    from busbridge.store import Store

_log = logging.getLogger("busbridge.replay")

_LEASE: Final = 10.0
"""Seconds after which a run whose process has vanished is anybody's."""
_EVERY: Final = 3.0
"""Seconds between two times that the progress is kept, at most: often enough to keep the lease."""
_PATIENCE: Final = 1.5
"""Leases for which a run is waited for that another process makes, or made until it died."""
_PAUSE: Final = 0.5


@final
class RunLog:
    """Of one run, as one process makes it. A database that is away is waited for."""

    def __init__(self, store: Store, run: str, *, lease: float = _LEASE) -> None:
        self._store = store
        self._run = run
        self._lease = lease
        self._owner = new_id()
        self._database = Outage(_log, f"replay run {run} waits for its store")

    async def resume(self) -> RunRow | None:
        """Takes the run over, as far as it has come; None if it has not begun.

        A process that has died keeps it for up to ten seconds more. Raises ReplayTaken where one still makes it.
        """
        deadline = asyncio.get_running_loop().time() + self._lease * _PATIENCE
        while (row := await self._store.run(self._run)) is not None:
            if await self._store.put_run(row, self._owner, self._lease):
                return row
            if asyncio.get_running_loop().time() > deadline:
                raise ReplayTaken(self._run)
            await asyncio.sleep(_PAUSE)
        return None

    async def keep(self, progress: Progress, *, done: bool = False) -> None:
        """Keeps how far it has come. Raises ReplayTaken where another process makes it by now."""
        reached("replay_kept")
        row = _row(progress, done=done)
        while True:
            try:
                kept = await self._store.put_run(row, self._owner, 0.0 if done else self._lease)
            except StoreUnavailable as error:
                await asyncio.sleep(self._database.failed(error))
            else:
                self._database.over()
                break
        if not kept:
            raise ReplayTaken(self._run)

    async def give_up(self, progress: Progress) -> None:
        """Keeps how far it has come for whoever goes on, at once. Raises StoreError."""
        await self._store.put_run(_row(progress, done=False), self._owner, 0.0)

    async def hold(self, progress: Progress) -> None:
        """Keeps it again and again, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.keep(progress)


def _row(progress: Progress, *, done: bool) -> RunRow:
    run = progress.run
    return RunRow(run.id, progress.subscription, run.publish.value, done, progress.text())
