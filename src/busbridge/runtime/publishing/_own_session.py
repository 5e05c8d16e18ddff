"""Publishing in a transaction that is the user's: through a session of their own, which they commit."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, final
from weakref import WeakSet

from sqlalchemy import event

from busbridge.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, SessionTransaction

    from busbridge.runtime.publishing._collected import Collected
    from busbridge.store import Store


class _Inserted(NamedTuple):
    """What is in the outbox once the session's transaction is committed."""

    collected: Collected
    within: frozenset[SessionTransaction]
    """The savepoints and the transaction whose rollback takes it out again."""


@final
class OwnSessions:
    """Writes into the outbox through sessions of the user's.

    `committed` is called with what has been committed there, on the thread that did it.
    """

    def __init__(self, store: Store, committed: Callable[[Collected], None]) -> None:
        self._store = store
        self._committed = committed
        self._known: WeakSet[Engine] = WeakSet()

    @asynccontextmanager
    async def using(self, session: AsyncSession, collected: Collected) -> AsyncGenerator[Collected]:
        """Inserts at the end of the block, through `session`; nothing if the block raises."""
        await session.run_sync(self._check)
        with collected.block():
            yield collected
            await session.run_sync(self._insert, collected)

    @contextmanager
    def using_sync(self, session: Session, collected: Collected) -> Generator[Collected]:
        """As `using`, blocking, on any thread."""
        self._check(session)
        with collected.block():
            yield collected
            self._insert(session, collected)

    def _check(self, session: Session) -> None:
        connection = session.connection()
        if connection.engine in self._known:
            return
        if not self._store.is_in(connection):
            problem = "the session is on another database, whose commit would not commit what is published with it"
            raise StoreError(self._store.database, problem)
        self._known.add(connection.engine)

    def _insert(self, session: Session, collected: Collected) -> None:
        session.flush()
        if not collected.empty:
            self._write(session.connection(), collected)
            self._watched(session).append(_Inserted(collected, frozenset(_transactions(session))))

    def _write(self, connection: Connection, collected: Collected) -> None:
        try:
            self._store.insert_outbox(connection, collected.rows())
            self._store.delete_timers(connection, collected.taken_back)
            if collected.postpones:
                self._store.insert_timers(connection, collected.timers)
        except Exception as error:
            ours = self._store.told(error)
            if ours is None:
                raise
            raise ours from error

    def _watched(self, session: Session) -> list[_Inserted]:
        """What waits for the end of the session's transaction, which we hear of from now on."""
        waiting: list[_Inserted] | None = session.info.get(self)
        if waiting is None:
            waiting = session.info[self] = []
            event.listen(session, "after_commit", self._after_commit)
            event.listen(session, "after_soft_rollback", self._after_rollback)
        return waiting

    def _after_commit(self, session: Session) -> None:
        if session.in_nested_transaction():  # only a savepoint was released
            return
        waiting = self._watched(session)
        inserted = tuple(waiting)
        waiting.clear()
        for each in inserted:
            self._committed(each.collected)

    def _after_rollback(self, session: Session, ended: SessionTransaction) -> None:
        waiting = self._watched(session)
        gone = [each for each in waiting if ended in each.within]
        waiting[:] = [each for each in waiting if ended not in each.within]
        for each in gone:
            each.collected.abandon(StoreError(self._store.database, "the session was rolled back"))


def _transactions(session: Session) -> Iterator[SessionTransaction]:
    """The innermost savepoint or transaction that a session is in, and those around it."""
    current = session.get_nested_transaction() or session.get_transaction()
    while current is not None:
        yield current
        current = current.parent
