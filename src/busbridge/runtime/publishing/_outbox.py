"""Publishing through the outbox of an open bus, outside of handlers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from busbridge.outbox import scheduled_id, scheduled_place, scheduled_what
from busbridge.runtime.publishing._collected import Collected
from busbridge.runtime.publishing._django import DjangoConnection, DjangoTransactions
from busbridge.runtime.publishing._own_session import OwnSessions
from busbridge.runtime.publishing._scheduled import Scheduled
from busbridge.runtime.publishing._transaction import transaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from busbridge.outbox import Relay
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.runtime.publishing._transaction import BusTransaction
    from busbridge.store import Store, TimerRow


@final
class Outbox:
    """Made on the loop, where `relay` runs."""

    def __init__(self, store: Store, relay: Relay, publishing: Publishing) -> None:
        self._store = store
        self._relay = relay
        self._publishing = publishing
        self._loop = asyncio.get_running_loop()
        self._sessions = OwnSessions(store, self._sent_somewhere)
        self._django = DjangoTransactions(store, self._sent_somewhere)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[BusTransaction]:
        """See `Bus.transaction`."""
        collected = Collected(self._publishing)
        with collected.block():
            async with transaction(self._store, collected) as tx:
                yield tx
        self._sent(collected)

    def using(self, session: object) -> AbstractAsyncContextManager[Collected] | AbstractContextManager[Collected]:
        """See `Bus.outbox`."""
        collected = Collected(self._publishing)
        if isinstance(session, AsyncSession):
            return self._sessions.using(session, collected)
        if isinstance(session, Session):
            return self._sessions.using_sync(session, collected)
        if not isinstance(session, DjangoConnection):
            raise TypeError(f"outbox() takes a session of SQLAlchemy's, or Django's connection, not {session!r}")
        return self._django.using(session, collected)

    def collect(self) -> Collected:
        """For `commit`."""
        return Collected(self._publishing)

    async def commit(self, collected: Collected) -> None:
        """Commits what was collected, in a transaction of its own."""
        async with self._store.transaction() as inner:
            await collected.write(inner)
        self._sent(collected)

    async def cancel(self, message_id: str) -> bool:
        """See `Bus.cancel`."""
        async with self._store.transaction() as inner:
            return await inner.drop_timers([scheduled_id(self._store.service, message_id)]) > 0

    async def scheduled(self, limit: int) -> list[Scheduled]:
        """See `Bus.scheduled`."""
        rows = await self._store.timers(limit, scheduled_place(self._store.service))
        return [_scheduled(row) for row in rows]

    def _sent(self, collected: Collected) -> None:
        collected.committed()
        self._relay.poke()

    def _sent_somewhere(self, collected: Collected) -> None:
        """As `_sent`, from any thread; a loop that has ended needs no telling."""
        if _is_running(self._loop):
            self._sent(collected)
        else:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._sent, collected)


def _scheduled(row: TimerRow) -> Scheduled:
    message_id, contract, destinations = scheduled_what(row)
    return Scheduled(message_id, datetime.fromtimestamp(row.due, UTC), contract, destinations)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the loop's own thread."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
