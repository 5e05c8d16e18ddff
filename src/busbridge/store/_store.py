"""The store of a service: opened once, used by its workers, its relay and its timers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from sqlalchemy import Connection, delete, insert, select

from busbridge.errors import ClosedError, CommitUnknown, StoreError, StoreOutdated, StoreUnavailable
from busbridge.store import _cursors, _migrations
from busbridge.store._engine import file_of, make_engine, parsed, shown
from busbridge.store._failures import is_a_databases, told
from busbridge.store._guard import Guard
from busbridge.store._leases import slots_for
from busbridge.store._migrations import SchemaState
from busbridge.store._postgresql import INFO, PostgreSQLStatements
from busbridge.store._rows import Look
from busbridge.store._sqlite import SQLiteStatements
from busbridge.store._tables import Clock, outbox, timers
from busbridge.store._to_the_end import to_the_end
from busbridge.store._transaction import Transaction
from busbridge.store._turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from busbridge.store._cursors import Cursor
    from busbridge.store._rows import OutboxRow, RunRow, TimerRow, Trouble
    from busbridge.store._statements import Statements, Waiting, WaitingTimers

T = TypeVar("T")

_CLEANED_AT_ONCE: Final = 1000
_LEFT_WITHIN: Final = 5.0  # how long a ROLLBACK may take before the connection is cut, which does the same


@final
class Store:
    """The tables of `service` in the database at `url`: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.

    Nothing is connected before `open`. Used by one event loop, by any number of tasks. A database that is away is
    StoreUnavailable, and found again by the next call once it is back.

    Every method but `transaction` is a transaction of its own and raises StoreUnavailable, StoreContention and
    StoreError as the methods of `Transaction` do. On PostgreSQL `seconds` bounds each statement of the store's own, and
    at most `connections` are open.
    """

    def __init__(self, url: str, service: str, *, connections: int = 20, seconds: float = 30.0) -> None:
        location = parsed(url)
        self.service: Final = service
        self.database: Final = shown(location)
        self.identity = ""
        """What `busbridge_schema` of this database says; known once it is open."""
        self._engine = make_engine(location, service, connections)
        embedded = location.get_backend_name() == "sqlite"
        self._guard = Guard(self.database, None if embedded else seconds)
        self._leaving = Guard(self.database, None if embedded else min(seconds, _LEFT_WITHIN))
        # Tasks that want to write wait here, in their order: SQLite has one writer, and no queue.
        self._turns = Turns(self.database) if embedded else None
        self._clock = str(select(Clock()).compile(dialect=self._engine.dialect))
        self._file = file_of(location)
        self._closed = False

    def __repr__(self) -> str:
        return f"<Store of {self.service} in {self.database}{', closed' if self._closed else ''}>"

    @property
    def one_at_a_time(self) -> bool:
        """Whether a transaction begins only when the one before it has ended, as on SQLite."""
        return self._turns is not None

    async def open(self, *, upgrade: bool) -> None:
        """Connects and looks at the schema. Where it is old or missing: upgrades it if asked to, else StoreOutdated.

        Raises StoreUnavailable where the database is away.
        """
        state = await self.check()
        if upgrade and (state.found is None or state.found < state.wanted):
            await self.upgrade()
            state = await self.check()
        if not state.fits:
            raise StoreOutdated(self.database, state.found, state.wanted)
        self.identity = state.identity

    async def close(self) -> None:
        """Closes the connections that nobody uses; one in use is closed when its transaction ends. May be repeated."""
        self._closed = True
        await self._engine.dispose()

    async def check(self) -> SchemaState:
        """The version of the schema. Changes nothing, and creates no file."""
        if self._file is not None and not self._file.exists():
            return SchemaState(None)
        return await self._in_sync(_migrations.state)

    async def upgrade(self) -> SchemaState:
        """Brings the schema to this library's version, and returns what was there before.

        Several processes may do it at once: one does, the others wait and find it done. A newer one is left as it is.
        """
        return await self._in_sync(_migrations.upgrade)

    @asynccontextmanager
    async def transaction(self, *, first: bool = False) -> AsyncGenerator[Transaction]:
        """A transaction that is committed at the end of the block, and rolled back if an exception leaves it.

        The exception goes through as it is. CommitUnknown where the connection went between COMMIT and its answer.
        On SQLite one transaction goes on at a time: others wait, in their order, behind those that ask to be `first`.
        What these write lasts from the next commit of another one: a power failure before that undoes it.
        StoreError for one inside another, which would wait for itself: of the same task, or of one that it waits for.
        """
        if self._closed:
            raise ClosedError(repr(self))
        turn = nullcontext() if self._turns is None else self._turns.turn(first=first)
        async with turn, self._begun(lasting=not first) as transaction:
            yield transaction

    def told(self, error: BaseException) -> StoreError | None:
        """What an exception out of a user's statement means here; None if no database raised it.

        StoreContention: the same again may succeed. StoreUnavailable: the database is away. It can't be seen of an
        exception whether another database of the user's raised it.
        """
        return told(error, self.database) if is_a_databases(error) else None

    def insert_outbox(self, connection: Connection, rows: Sequence[OutboxRow]) -> None:
        """Inserts through a user's own connection, in the transaction it is in. Raises what that raises."""
        if rows:
            connection.execute(insert(outbox), [{"service": self.service, **_columns(row)} for row in rows])

    def insert_outbox_by(self, cursor: Cursor, rows: Sequence[OutboxRow]) -> None:
        """As `insert_outbox`, through a cursor of the user's driver, or of a framework around it."""
        with self._telling():
            _cursors.put_outbox(cursor, self.service, rows)

    def insert_timers_by(self, cursor: Cursor, rows: Callable[[float], Sequence[TimerRow]]) -> None:
        """As `insert_timers`, and as `insert_outbox_by`."""
        with self._telling():
            _cursors.put_timers(cursor, self.service, rows, self._clock)

    def identity_by(self, cursor: Cursor, tables: Collection[str]) -> str:
        """What `identity` would be for the database that a user's own cursor is in, which has `tables`; or empty."""
        with self._telling():
            return _cursors.identity(cursor, tables)

    def insert_timers(self, connection: Connection, rows: Callable[[float], Sequence[TimerRow]]) -> None:
        """As `insert_outbox`; `rows` is given the time by the database's clock. A timer of the same id is replaced."""
        found = rows(connection.execute(select(Clock())).scalar_one())
        if found:
            self.delete_timers(connection, [row.id for row in found])
            connection.execute(insert(timers), [{"service": self.service, **row._asdict()} for row in found])

    def delete_timers(self, connection: Connection, ids: Sequence[str]) -> None:
        """As `insert_outbox`."""
        if ids:
            connection.execute(delete(timers).where(timers.c.id.in_(ids)))

    def delete_timers_by(self, cursor: Cursor, ids: Sequence[str]) -> None:
        """As `delete_timers`, and as `insert_outbox_by`."""
        with self._telling():
            _cursors.drop_timers(cursor, ids)

    def is_in(self, connection: Connection) -> bool:
        """Whether a user's own connection is to the database of this store, which is open, whatever its URL says."""
        with self._telling():
            return bool(self.identity) and _migrations.state(connection).identity == self.identity

    @contextmanager
    def _telling(self) -> Generator[None]:
        """What a database raises in the block becomes an error of ours; all else goes through."""
        try:
            yield
        except Exception as error:
            ours = told(error, self.database)
            if ours is None:
                raise
            raise ours from error

    async def lease(self, owner: str, seconds: float) -> frozenset[int]:
        """The slots of the outbox that `owner` publishes for the next `seconds`.

        Its own ones are renewed; free and expired ones are taken, up to a fair share of the owners that called lately.
        What is above that share is given up in this call: nothing of it may be under way.
        """

        async def held(statements: Statements) -> frozenset[int]:
            owners = await statements.live_owners(self.service, owner, seconds)
            slots = slots_for(owner, owners, await statements.leases(self.service))
            await statements.put_leases(self.service, owner, slots, seconds)
            return slots

        return await self._do(held)

    async def release(self, owner: str) -> None:
        """Gives up all slots of `owner`, so that others need not wait for their end."""

        async def dropped(statements: Statements) -> None:
            await statements.live_owners(self.service, owner, 0)
            await statements.put_leases(self.service, owner, (), 0)
            await statements.drop_owner(self.service, owner)

        await self._do(dropped)

    async def pending(
        self, slots: Collection[int], limit: int, without: Collection[str] = (), *, sent: Collection[int] = ()
    ) -> list[OutboxRow]:
        """Up to `limit` rows that may be published now, in the order of their ids; none for destinations in `without`.

        A row that waits for its next try, or is parked, holds the later ones of its destination and key. What the
        broker has confirmed, `sent`, is deleted before, in the same transaction; in doubt it is given once more, also
        after a power failure.
        """
        return (await self.look(slots, limit, without, sent=sent)).rows

    async def look(
        self, slots: Collection[int], limit: int, without: Collection[str] = (), *, sent: Collection[int] = ()
    ) -> Look:
        """As `pending`, and says whether that is all there is."""

        async def looked(statements: Statements) -> Look:
            if sent:
                await statements.sent(sent)
            if not slots:
                return Look([], None)
            rows = await statements.pending(self.service, slots, limit, without)
            return Look(rows, None if without else await statements.newest(self.service, len(rows)))

        return await self._do(looked, first=True) if slots or sent else Look([], None)

    async def sent(self, ids: Collection[int]) -> None:
        """Deletes what the broker has confirmed."""
        if ids:
            await self._do(lambda statements: statements.sent(ids))

    async def failed(self, troubles: Sequence[Trouble]) -> None:
        """Counts an attempt of each, and keeps it from being published for as long as is said."""
        await self._do(lambda statements: statements.failed(troubles))

    async def waiting(self) -> Waiting:
        """What is in the outbox of the service. Reads all of it."""
        return await self._do(lambda statements: statements.waiting(self.service))

    async def backlog(self, most: int) -> int:
        """How many messages wait in the outbox of the service, parked ones left out: `most`, if there are more.

        Reads as many entries of an index.
        """
        return await self._do(lambda statements: statements.backlog(self.service, most), first=True)

    async def claim_timers(self, places: Collection[str], owner: str, limit: int, seconds: float) -> list[TimerRow]:
        """Up to `limit` due timers of `places`, earliest first: for `seconds` nobody else gets them."""
        if not places:
            return []
        return await self._do(lambda statements: statements.claim_timers(places, owner, limit, seconds))

    async def timers(self, limit: int, place: str | None = None) -> list[TimerRow]:
        """Up to `limit` timers of the service, or of one of its places, earliest first. Nobody is kept from them."""
        return await self._do(lambda statements: statements.timers(self.service, place, limit))

    async def waiting_timers(self) -> list[WaitingTimers]:
        """What waits among the timers of the service, by place. Reads all of them."""
        return await self._do(lambda statements: statements.waiting_timers(self.service))

    async def advance_timers(self, seconds: float) -> None:
        """Has all timers of the service due that much earlier: for tests."""
        await self._do(lambda statements: statements.advance_timers(self.service, seconds))

    async def run(self, run: str) -> RunRow | None:
        """How far a replay run of the service has come; None: it has not begun."""
        return await self._do(lambda statements: statements.run(self.service, run))

    async def put_run(self, row: RunRow, owner: str, seconds: float) -> bool:
        """Keeps how far a run has come, which is `owner`'s for `seconds`. False, and nothing kept: it is another's."""
        return await self._do(lambda statements: statements.put_run(self.service, row, owner, seconds))

    async def clean(self, window: float) -> int:
        """Deletes the inbox rows that were handled or died longer ago than `window` seconds, and counts them.

        In transactions of 1000 rows, between which others get their turn.
        """
        total = 0
        while deleted := await self._do(lambda statements: statements.clean(self.service, window, _CLEANED_AT_ONCE)):
            total += deleted
            await asyncio.sleep(0)
        return total

    async def _do(self, work: Callable[[Statements], Awaitable[T]], *, first: bool = False) -> T:
        async def done(statements: Statements) -> T:
            return await work(statements)

        async with self.transaction(first=first) as transaction:
            return await self._guard.run(done(transaction.statements))

    async def _in_sync(self, work: Callable[[Connection], T]) -> T:
        """Runs what needs a synchronous connection of SQLAlchemy's."""
        async with self.transaction() as transaction:
            return await self._guard.run(transaction.connection.run_sync(work))

    @asynccontextmanager
    async def _begun(self, *, lasting: bool) -> AsyncGenerator[Transaction]:
        connection, statements = await self._begin(lasting=lasting)
        broken = False
        try:
            yield Transaction(connection, statements, self._guard, self.service)
            await self._guard.run(statements.ensure_open())
            await to_the_end(self._commit(connection))
        except StoreUnavailable:
            broken = True
            raise
        finally:
            await to_the_end(self._leave(connection, broken=broken))

    async def _begin(self, *, lasting: bool) -> tuple[AsyncConnection, Statements]:
        """A connection in a new transaction.

        A pooled one may have been cut since it was used last: nothing has been done yet, so a new one is tried.
        """
        try:
            return await self._guard.run(self._connected(lasting=lasting))
        except StoreUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise
            return await self._guard.run(self._connected(lasting=lasting))

    async def _connected(self, *, lasting: bool) -> tuple[AsyncConnection, Statements]:
        connection = await self._engine.connect()
        try:
            statements = await self._statements(connection, lasting=lasting)
            await connection.begin()
            return connection, statements
        except BaseException:
            await to_the_end(self._leave(connection))
            raise

    async def _statements(self, connection: AsyncConnection, *, lasting: bool) -> Statements:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        if self.one_at_a_time:
            driver.lasting = lasting
            return SQLiteStatements(driver)
        await connection.execution_options(**{INFO: raw.info})
        return PostgreSQLStatements(driver, raw.info)

    async def _commit(self, connection: AsyncConnection) -> None:
        try:
            await self._guard.run(connection.commit())
        except StoreUnavailable as error:
            raise CommitUnknown(self.database, error.detail) from error

    async def _leave(self, connection: AsyncConnection, *, broken: bool = False) -> None:
        """Rolls back what is not committed and gives the connection back, unless it is broken or nobody's any more."""
        try:
            if broken or self._closed:
                await connection.invalidate()
            await self._leaving.run(connection.close())
        except StoreError:
            if not connection.closed:
                await connection.invalidate()
                await connection.close()


def _columns(row: OutboxRow) -> dict[str, object]:
    columns = row._asdict()
    return {name: columns[name] for name in columns if name not in {"id", "attempts"}}
