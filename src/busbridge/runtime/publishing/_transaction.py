"""A transaction of the store outside of any handler: the user's rows and what is published with them, or neither."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

from busbridge.errors import ClosedError
from busbridge.runtime.publishing._joined import JoinedConnection, JoinedSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from busbridge.contract import Contract
    from busbridge.runtime.publishing._collected import Collected
    from busbridge.store import Store, Transaction


@final
class BusTransaction:
    """What `async with bus.transaction() as tx` gives. Valid in that block."""

    def __init__(self, transaction: Transaction, collected: Collected) -> None:
        self._transaction: Transaction | None = transaction
        self._collected = collected
        self._connection: JoinedConnection | None = None
        self._session: JoinedSession | None = None

    def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        """Collects a message to publish; returns its id, which it keeps however often it is sent.

        A plain call. `delay` and `at` as `Bus.publish` takes them. Raises what that raises before anything is sent, and
        ClosedError after the block.
        """
        return self._collected.publish(
            message, message_id=message_id, correlation_id=correlation_id, headers=headers, delay=delay, at=at
        )

    async def cancel(self, message_id: str) -> bool:
        """Takes back a message that was to be published later, if the block ends well. As `Bus.cancel`."""
        opened = self._opened()
        if self._collected.revoke(message_id):
            return True
        return await opened.drop_timers([self._collected.timer_id(message_id)]) > 0

    @property
    def connection(self) -> AsyncConnection:
        """The transaction's connection. The block ends it: `commit`, `rollback` and `close` raise HandlerError."""
        inner = self._opened().connection
        if self._connection is None:
            self._connection = JoinedConnection(inner)
        return self._connection

    @property
    def session(self) -> AsyncSession:
        """A session on `connection`, flushed at the end of the block. Can't be committed or closed either."""
        inner = self._opened().connection
        if self._session is None:
            self._session = JoinedSession(inner)
        return self._session

    async def write(self) -> None:
        """The block has ended well: what its session holds is written, then what it published."""
        if self._session is not None:
            await self._session.keep()
        await self._collected.write(self._opened())

    async def drop(self) -> None:
        """The block has raised: what its session holds is forgotten."""
        if self._session is not None:
            await self._session.drop()

    def end(self) -> None:
        """Nothing more can be done through it."""
        self._transaction = None

    def _opened(self) -> Transaction:
        if self._transaction is None:
            raise ClosedError("the transaction, whose block was left,")
        return self._transaction


@asynccontextmanager
async def transaction(store: Store, collected: Collected) -> AsyncGenerator[BusTransaction]:
    """Commits at the end of the block; an exception rolls everything back and goes on as it is."""
    async with store.transaction() as inner:
        tx = BusTransaction(inner, collected)
        try:
            yield tx
            await tx.write()
        except BaseException:
            await tx.drop()
            raise
        finally:
            tx.end()
