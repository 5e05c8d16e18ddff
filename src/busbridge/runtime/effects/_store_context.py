"""The context of a delivery to a service that has a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.outbox import moment, scheduled_id
from busbridge.runtime.handling._context import LiveContext
from busbridge.runtime.handling._resources import R
from busbridge.runtime.publishing._joined import JoinedConnection, JoinedSession
from busbridge.runtime.publishing._postponed import Postponed, revoked

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from busbridge.contract import Contract
    from busbridge.runtime.effects._shared_session import SharedSession
    from busbridge.runtime.effects._work import Work
    from busbridge.runtime.handling._context import Surroundings
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.store import Transaction


@final
class StoreContext(LiveContext[R]):
    """Gives the handler its part of the transaction when it first asks for it."""

    __slots__ = ("_connection", "_later", "_session", "_shared", "_transaction", "_work")

    def __init__(
        self,
        surroundings: Surroundings,
        work: Work,
        message: Contract,
        attempt: int,
        transaction: Transaction,
        shared: SharedSession | None,
    ) -> None:
        """`shared`: with the other handlers of the transaction; None: this one has a savepoint of its own."""
        super().__init__(surroundings, work.delivery, message, attempt, work.bound)
        self._event = work.event
        self._work = work
        self._transaction = transaction
        self._shared = shared
        self._connection: JoinedConnection | None = None
        self._session: JoinedSession | None = None
        self._later: list[Postponed] | None = None

    @property
    def run(self) -> str | None:
        return self._work.key.run or None

    @property
    def idempotency_key(self) -> str:
        return self._work.identity.key

    @property
    def connection(self) -> AsyncConnection:
        self._check_running()
        if self._connection is None:
            shared = self._shared
            self._connection = JoinedConnection(self._transaction.connection) if shared is None else shared.connection
        return self._connection

    @property
    def session(self) -> AsyncSession:
        self._check_running()
        if self._session is None:
            shared = self._shared
            self._session = JoinedSession(self._transaction.connection) if shared is None else shared.session
        return self._session

    def _postponing(self, delay: timedelta | float | None, at: datetime | None) -> Callable[[Prepared], Prepared]:
        when = moment(delay, at)

        def postponed(prepared: Prepared) -> Prepared:
            self._later = self._later or []
            self._later.append(Postponed(prepared, when))
            return self._later[-1]

        return postponed

    async def cancel(self, message_id: str) -> bool:
        self._check_running()
        if revoked(self._later or (), message_id):
            return True
        timer = scheduled_id(self._surroundings.plan.service, message_id)
        return await self._transaction.drop_timers([timer]) > 0

    async def keep(self) -> None:
        """The handler has returned: what its session holds is written, and what it publishes later."""
        if self._session is not None:
            await (self._session.keep() if self._shared is None else self._shared.leave())
        if self._later is not None:
            now = await self._transaction.now()
            service = self._surroundings.plan.service
            await self._transaction.put_timers([each.timer(service, now) for each in self._later if not each.revoked])

    async def drop(self) -> None:
        """The handler has failed: what its session holds is forgotten."""
        if self._session is not None and self._shared is None:
            await self._session.drop()
