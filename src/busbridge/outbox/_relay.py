"""The relay: publishes what is in the outbox and deletes it once it is confirmed, whoever inserted it.

It never holds a transaction while it talks to a broker (R1), marks a row only after its confirm, and publishes a row
with the id that it was inserted with (R4).
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from busbridge.envelope import new_id
from busbridge.errors import BusbridgeError, StoreError
from busbridge.outbox._departures import Departures
from busbridge.outbox._marks import Marks
from busbridge.outbox._mirror import Leaving, Mirror
from busbridge.outbox._outage import Outage
from busbridge.outbox._tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from busbridge.outbox._flight import Exit
    from busbridge.outbox._marks import Parked
    from busbridge.outbox._mirror import Inserted
    from busbridge.store import Store

_log = logging.getLogger("busbridge.outbox")

_ROWS: Final = 1000
"""Rows read at a time."""
_MARKED: Final = 200
"""Rows that are deleted at a time while more are on their way: a transaction costs more than deleting a row."""
_LEASE: Final = 15.0
"""Seconds after which the slots of a relay that has vanished are another's."""
_POLL: Final = 1.0
"""Seconds between two looks when nobody says that there is something."""
_LAST_WORDS: Final = 2.0
"""Seconds that the database has, when the relay stops, to hear what became of the last rows."""


@final
class Relay:
    """`start` once, `poke` after each commit that inserted rows, `stop` once.

    Any number of relays, in any number of processes, share the outbox of a service: each publishes what is in the slots
    that it has leased. Of each key one row is published at a time, in the order of insertion; one that is refused or
    not confirmed holds the later ones of its own key and no others (T15). What is refused for good is parked with its
    error, and logged. A database or a broker that is away is waited for.

    `exits` says where rows go, by the name of their destination. A row whose destination is not among them stays, and
    is logged: a newer version of the service may have inserted it. `parked` is told of what is parked.
    """

    def __init__(
        self,
        store: Store,
        exits: Mapping[str, Exit],
        *,
        lease: float = _LEASE,
        poll: float = _POLL,
        clock: Callable[[], float] = time.monotonic,
        parked: Parked | None = None,
    ) -> None:
        self._store = store
        self._poll = poll
        self._tenure = Tenure(store, new_id(), lease, clock)
        self._marks = Marks(store, parked)
        self._wake = asyncio.Event()
        self._mirror = Mirror(_ROWS)
        self._departures = Departures(exits, self._tenure, self._marks, self._mirror, self._wake, clock)
        self._database = Outage(_log, f"the relay of {store.service!r} can't reach its database", clock)
        self._unread = True
        """Whether there may be rows that the mirror does not have."""
        self._idle = asyncio.Event()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def published(self) -> int:
        """Rows that were confirmed, since the start."""
        return self._departures.confirmed

    @property
    def parked(self) -> int:
        """Rows that were refused for good, since the start."""
        return self._departures.parked

    def start(self) -> None:
        """Begins to publish, on the running loop."""
        self._running = asyncio.create_task(self._run(), name=f"busbridge relay of {self._store.service}")

    def poke(self) -> None:
        """Rows have been committed: looks at once. A plain call, on the loop's thread; as often as one likes."""
        self._unread = True
        self._look_again()

    def inserted(self, rows: Inserted) -> None:
        """As `poke`, by whoever knows what was committed: it need not be read then. At once after the commit."""
        self._mirror.inserted(rows)
        self._look_again()

    def _look_again(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def idle(self) -> None:
        """Waits until nothing is left that this relay may publish now. What waits for its next try does not count."""
        await self._idle.wait()

    async def stop(self, seconds: float) -> None:
        """Publishes what is there, for up to `seconds`, then leaves. The rest stays in the outbox, for any relay."""
        self._stopping.set()
        self.poke()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=seconds)
            self._running.cancel()
            await asyncio.wait([self._running])
        await self._departures.cancel()
        await self._leave()

    async def _leave(self) -> None:
        """What the database does not hear now is published again, or waits until the lease has ended."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._marks.write()
                await self._tenure.end()

    async def _run(self) -> None:
        try:
            while not await self._round():
                pass
        except Exception as error:
            _log.critical("the relay of %r has stopped: %r", self._store.service, error)
            raise

    async def _round(self) -> bool:
        """Looks once and waits for a reason to look again. Whether that was the last time."""
        self._wake.clear()
        try:
            found = await self._look()
        except StoreError as error:
            return await self._sit_out(error)
        self._database.over()
        if not found and not self._departures.flights and not self._wake.is_set():
            self._idle.set()
            if self._stopping.is_set():
                return True
        try:
            async with asyncio.timeout(self._departures.until_next(self._poll)):
                await self._wake.wait()
        except TimeoutError:
            self._unread = True  # other processes tell nobody
        return False

    async def _look(self) -> int:
        """Sends off what may be published now, and counts it."""
        closed = self._departures.closed()  # first: what lands after this is marked by the next look
        if self._tenure.due:  # whoever gets what is given up then need not publish again what is confirmed
            await self._marks.write()
            await self._tenure.renew()
            if not self._tenure.all:
                self._mirror.end()
        if self._mirror.begun and not self._unread:
            leaving = self._mirror.take(closed)
            if not self._departures.depart(leaving):
                self._mirror.end()
            if not self._departures.flights or len(self._marks) >= _MARKED:
                await self._marks.write()
            return len(leaving)
        return await self._read(closed)

    async def _read(self, closed: Collection[str]) -> int:
        self._mirror.end()
        self._unread = False
        rows, newest = await self._marks.exchange(self._tenure.slots, _ROWS, closed)
        all_left = self._departures.depart([Leaving(row) for row in rows])
        self._mirror.begin(newest if all_left and self._tenure.all else None)
        if len(rows) == _ROWS:  # there may be more, for destinations that nothing was found of
            self._wake.set()
        return len(rows)

    async def _sit_out(self, error: BusbridgeError) -> bool:
        """Waits while the database is away; a relay that is to stop does not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._database.failed(error)):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def failed(self) -> None:
        """Waits while the relay works. Raises what stopped it; returns when it was told to stop."""
        if self._running is not None:
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.result()

    def __repr__(self) -> str:
        return f"<Relay of {self._store.service!r}, slots {len(self._tenure.slots)}, {self._departures!r}>"
