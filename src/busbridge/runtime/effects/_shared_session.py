"""The session that the handlers of one transaction use one after another, so that their rows are inserted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from sqlalchemy import event

from busbridge.runtime.effects._frugal_session import FrugalSession
from busbridge.runtime.effects._rows_left import insert_rows
from busbridge.runtime.publishing._joined import JoinedConnection

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection


@final
class SharedSession:
    """Connection and session of handlers that are called one after another, outside of savepoints.

    A session is written and emptied when its handler has returned: no handler meets objects of another one. Where it
    holds nothing but new objects they are only taken out of it, and inserted with those of the handlers after it, many
    rows in a statement: before the next statement of anybody's, so that nobody can tell, and at the latest by `write`.

    A flush that fails rolls the whole transaction back: it is `lost`, and to be done again with a savepoint for each.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.refused = False
        """Whether rows that handlers had left were not inserted: what is raised for it says nothing of who meets it."""
        self._connection = JoinedConnection(connection, before_raw=self.write)
        inner = connection.sync_connection
        self._transaction = None if inner is None else inner.get_transaction()
        self._session: FrugalSession | None = None
        self._left: list[object] = []
        self._listens = False

    @property
    def connection(self) -> JoinedConnection:
        """The transaction's connection."""
        return self._connection

    @property
    def session(self) -> FrugalSession:
        """The session, made when first asked for."""
        if self._session is None:
            self._session = FrugalSession(self._connection)
        return self._session

    @property
    def lost(self) -> bool:
        """Whether the transaction was rolled back: whatever a handler made of it, nothing can be committed."""
        return self._transaction is None or not self._transaction.is_active

    async def leave(self) -> None:
        """A handler has returned that used the session. Raises what the database says to what it did."""
        session = self.session
        if not session.opened:
            self._left += session.take()
            self._listen()
            return
        inner = session.sync_session
        if len(inner.identity_map) or inner.in_nested_transaction():
            await session.flush()
        else:
            self._left += inner.new
            self._listen()
        session.expunge_all()

    async def write(self) -> None:
        """Inserts what was left. Raises what the database says to it."""
        if self._left:
            await self._connection.run_sync(self._insert)

    async def close(self) -> None:
        """Forgets the objects; the transaction stays as it is."""
        if self._session is not None:
            await self._session.drop()

    def _listen(self) -> None:
        if not self._listens:
            self._listens = True
            event.listen(self._connection.sync_connection, "before_cursor_execute", self._insert)

    def _insert(self, connection: Connection, *_: object) -> None:
        """Before a statement of anybody's: what was left comes before it."""
        if not self._left:
            return
        left, self._left = self._left, []
        try:
            insert_rows(connection, left)
        except BaseException:
            self.refused = True
            raise
