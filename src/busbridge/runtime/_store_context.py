"""The context of a delivery to a service that has a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.runtime._context import LiveContext
from busbridge.runtime._joined import JoinedConnection, JoinedSession
from busbridge.runtime._resources import R

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from busbridge.contract import Contract
    from busbridge.runtime._context import Surroundings
    from busbridge.runtime._work import Work
    from busbridge.store import Transaction


@final
class StoreContext(LiveContext[R]):
    """Gives the handler its part of the transaction when it first asks for it."""

    __slots__ = ("_connection", "_identity", "_session", "_transaction")

    def __init__(
        self, surroundings: Surroundings, work: Work, message: Contract, attempt: int, transaction: Transaction
    ) -> None:
        super().__init__(surroundings, work.delivery, message, attempt, work.bound)
        self._event = work.event
        self._identity = work.identity
        self._transaction = transaction
        self._connection: JoinedConnection | None = None
        self._session: JoinedSession | None = None

    @property
    def idempotency_key(self) -> str:
        return self._identity.key

    @property
    def connection(self) -> AsyncConnection:
        self._check_running()
        if self._connection is None:
            self._connection = JoinedConnection(self._transaction.connection)
        return self._connection

    @property
    def session(self) -> AsyncSession:
        self._check_running()
        if self._session is None:
            self._session = JoinedSession(self._transaction.connection)
        return self._session

    async def keep(self) -> None:
        """The handler has returned: what its session holds is written."""
        if self._session is not None:
            await self._session.keep()

    async def drop(self) -> None:
        """The handler has failed: what its session holds is forgotten."""
        if self._session is not None:
            await self._session.drop()
