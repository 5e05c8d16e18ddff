"""Keeps handlers from filling the outbox without end, while the brokers take less than handlers publish.

More than the limit waits: the service's subscriptions take no new work, so that their messages stay with the broker,
until a part of it has gone out. Nothing is asked per message: rows are added up as they are committed, and the outbox
is counted, up to the limit, once enough have been or a second has passed. Any number of processes fill one outbox and
each looks for itself, so that it makes no difference which of them relay.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import StoreError
from busbridge.outbox import Outage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.runtime.handling._counts import Counts
    from busbridge.store import Store
    from busbridge.transport import Delivery

_log = logging.getLogger("busbridge.worker")

_EVERY: Final = 1.0
"""Seconds between two looks, while it is closed or rows are being committed."""
_FINE: Final = 10
"""The outbox is counted anew when this process alone has added this part of the limit, or all that was left of it."""


@final
class OutboxGate:
    """Of one service in one process; `limit` 0: never closed. `stop` once; the rest are plain calls."""

    def __init__(self, store: Store, limit: int) -> None:
        self.closed = False
        self._store = store
        self._limit = limit
        self._reopens = limit * 4 // 5
        self._room = self._least = max(1, limit // _FINE)
        self._added = 1  # what earlier processes have left is not known
        self._enough = asyncio.Event()
        self._entrances: set[Entrance] = set()
        self._database = Outage(_log, f"{store.service}: its outbox can't be counted")
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look, on the running loop. Twice is fine."""
        if self._limit and self._looking is None:
            self._looking = asyncio.create_task(self._run(), name=f"busbridge outbox gate of {self._store.service}")

    async def stop(self) -> None:
        """Looks no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def failed(self) -> None:
        """Waits while it looks; for ever where it does not. Raises what stopped it; returns when it was told to."""
        if self._looking is None:
            await asyncio.get_running_loop().create_future()
        else:
            await asyncio.wait([self._looking])
            if not self._looking.cancelled():
                self._looking.result()

    def entrance(self, counts: Counts) -> Entrance:
        """The way of a subscription past the gate."""
        entrance = Entrance(counts, self._entrances)
        entrance.turn(closed=self.closed)
        return entrance

    def filled(self, rows: int) -> None:
        """So many rows were committed."""
        self._added += rows
        if self._added >= self._room:
            self._enough.set()

    async def _run(self) -> None:
        try:
            while True:
                if self._added or self.closed:
                    await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY):
                        await self._enough.wait()
                self._enough.clear()
        except Exception as error:
            _log.critical("%s: its outbox is watched no more: %r", self._store.service, error)
            raise

    async def _look(self) -> None:
        added, self._added = self._added, 0  # what is committed from here on may not be counted below
        try:
            waiting = await self._store.backlog(self._limit + 1)
        except StoreError as error:
            self._added += added
            self._database.failed(error)
        else:
            self._database.over()
            self._room = max(self._limit - waiting, self._least)
            self._judge(waiting)
        for each in tuple(self._entrances):
            each.turn(closed=self.closed)

    def _judge(self, waiting: int) -> None:
        if not self.closed and waiting > self._limit:
            self.closed = True
            _log.warning(
                "%s: its outbox is full, more than %d messages wait in it: its subscriptions take nothing more until "
                "%d are left. What keeps them from going out stands in this log, or in that of the relay",
                self._store.service,
                self._limit,
                self._reopens,
            )
        elif self.closed and waiting <= self._reopens:
            self.closed = False
            _log.warning(
                "%s: %d messages are left in its outbox: its subscriptions go on", self._store.service, waiting
            )

    def __repr__(self) -> str:
        return f"<OutboxGate of {self._store.service!r}, {'closed' if self.closed else 'open'}>"


@final
class Entrance:
    """One subscription's. Made by `OutboxGate.entrance`; on the loop's thread."""

    def __init__(self, counts: Counts, others: set[Entrance] | None = None) -> None:
        """Without `others`, those that are told how the gate turns, it is open for ever."""
        self.closed = False
        """Whether nothing may begin now."""
        self._counts = counts
        self._others = set[Entrance]() if others is None else others
        self._others.add(self)
        self._turned = asyncio.Event()
        self._ended = False

    def turn(self, *, closed: bool) -> None:
        """The gate was looked at."""
        self.closed = self._counts.outbox_full = closed
        self._turned.set()
        self._turned.clear()  # those that wait were woken: they look for themselves

    async def turned(self) -> None:
        """Waits until the gate is looked at again, or the subscription is told to stop."""
        await self._turned.wait()

    def refused(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """While it is closed: those of `deliveries` that need not wait, since they may not begin any more."""
        return [each for each in deliveries if self._ended or not each.session.taking]

    def end(self) -> bool:
        """The subscription is told to stop: no lane waits any more. True if it is closed, so that none may go on."""
        self._others.discard(self)
        self._ended = True
        self._turned.set()
        return self.closed

    def __repr__(self) -> str:
        return f"<Entrance, {'closed' if self.closed else 'open'}>"
