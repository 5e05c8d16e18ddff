"""What moves scheduled messages that are due into the outbox, from where the relay publishes them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import StoreError
from busbridge.outbox._outage import Outage
from busbridge.outbox._scheduled import message_id_of, released, scheduled_place
from busbridge.outbox._seams import reached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.store import Store

_log = logging.getLogger("busbridge.timers")

_ROWS: Final = 500
"""Messages moved in one transaction."""
_SHORTEST: Final = 0.02
"""Seconds between two looks while another process moves what is due."""
_POLL: Final = 1.0
"""Seconds between two looks when nobody says that a message is due."""


@final
class Releasing:
    """`start` once, `stop` once. Any number of them, in any number of processes, share a service's messages.

    A message is in the outbox, under the id that it was given, in the transaction that takes it from the timers: so it
    is published as if it had been now, neither twice nor never. Those of one service are moved in the order in which
    they are due, by one process at a time. A database that is away is waited for.
    """

    def __init__(
        self,
        store: Store,
        moved: Callable[[], None],
        announce: Callable[[Sequence[str]], None] = lambda _: None,
        *,
        poll: float = _POLL,
    ) -> None:
        """`moved`: rows are in the outbox. `announce` hears the ids of messages right before that is committed."""
        self._store = store
        self._place = scheduled_place(store.service)
        self._moved = moved
        self._announce = announce
        self._poll = poll
        self._wake = asyncio.Event()
        self._database = Outage(_log, f"the scheduled messages of {store.service!r} can't be read")
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look, on the running loop."""
        self._running = asyncio.create_task(self._run(), name=f"busbridge releasing of {self._store.service}")

    def expect(self, seconds: float) -> None:
        """A message was committed that is due in `seconds`: looks then. A plain call, on the loop's thread."""
        if seconds < self._poll:  # a later one is found by looking, in time
            asyncio.get_running_loop().call_later(max(seconds, 0), self._wake.set)

    async def stop(self) -> None:
        """Moves nothing more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def failed(self) -> None:
        """Waits while it works. Raises what stopped it; returns when it was told to stop."""
        if self._running is not None:
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.result()

    async def _run(self) -> None:
        try:
            while True:
                await self._round()
        except Exception as error:
            _log.critical("scheduled messages of %r are not published any more: %r", self._store.service, error)
            raise

    async def _round(self) -> None:
        """Looks once, and waits for a reason to look again."""
        self._wake.clear()
        try:
            pause = await self.look()
        except StoreError as error:
            pause = self._database.failed(error)
        else:
            self._database.over()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    async def look(self) -> float:
        """Moves what is due; returns after how many seconds to look again. Raises StoreError."""
        while True:
            async with self._store.transaction() as transaction:
                rows = await transaction.take_timers(self._place, _ROWS)
                if not rows:
                    due = await transaction.next_due(self._place)
                    return self._poll if due is None else min(max(due - await transaction.now(), _SHORTEST), self._poll)
                await transaction.put_outbox([row for each in rows for row in released(each)])
                self._announce([message_id_of(each) for each in rows])
                reached("before_release")
            reached("after_release")
            self._moved()

    def __repr__(self) -> str:
        return f"<Releasing of {self._store.service!r}>"
