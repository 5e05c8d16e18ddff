"""An asyncio dialect of SQLAlchemy for SQLite that executes on the loop's thread.

A statement of SQLite takes microseconds where a hop to a thread takes hundreds. What does block, the fsync of COMMIT,
happens in a thread; a writer of another process is waited for without one.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from busbridge.errors import StoreError
from busbridge.store._endings import refuse_ending
from busbridge.store._to_the_end import to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import URL
    from sqlalchemy.engine.interfaces import ConnectArgsType, DBAPIConnection, DBAPICursor, ExecutionContext
    from sqlalchemy.pool import Pool, PoolProxiedConnection

T = TypeVar("T")

_BUSY_SECONDS: Final = 10.0  # how long the writer of another process is waited for
_LONGEST_PAUSE: Final = 0.05
_FULL: Final = 2
_PAGES: Final = 1000  # SQLite's own default: pages in the log when a COMMIT writes them back, which takes time


def use_inline_sqlite() -> str:
    """The name of the dialect, which SQLAlchemy knows from now on."""
    registry.register("sqlite.busbridge", __name__, InlineSQLite.__name__)
    return "sqlite+busbridge"


async def _at_once(function: Callable[..., T], *arguments: object) -> T:
    """A call as the awaitable that SQLAlchemy asks for. Nothing is waited for."""
    return function(*arguments)


@final
class _Cursor(sqlite3.Cursor):
    """Reads all rows at once: a result that a user leaves unread would keep its snapshot, and the next writer out."""

    _rows: deque[Any]

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        await_only(_at_once(super().execute, sql, parameters))
        self._rows = deque(super().fetchall())
        return self

    def executemany(self, sql: str, parameters: Iterable[Any]) -> _Cursor:
        await_only(_at_once(super().executemany, sql, parameters))
        self._rows = deque()
        return self

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows, self._rows = list(self._rows), deque()
        return rows

    async def _async_soft_close(self) -> None:
        """What SQLAlchemy asks of an asyncio cursor once it has its rows: nothing is to be done."""


@final
class InlineConnection(sqlite3.Connection):
    """A connection whose cursors and commits are for SQLAlchemy's greenlet; `execute` and `executemany` for anyone."""

    lasting = True
    """Whether COMMIT is on the disk when it returns; else it is there with the next one that is, and takes no time."""
    _is_lasting = True

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        if not self.in_transaction:
            return
        if self._is_lasting:
            await_only(to_the_end(asyncio.to_thread(super().commit)))
        else:
            super().commit()

    def close(self) -> None:
        await_only(to_the_end(asyncio.to_thread(super().close)))  # the last one to close writes the log back

    async def begin(self) -> None:
        """Begins to write. The writer of another process is waited for; then sqlite3.OperationalError."""
        if self._is_lasting is not self.lasting:
            self._is_lasting = self.lasting
            self.execute(f"PRAGMA synchronous = {'FULL' if self.lasting else 'NORMAL'}")
            self.execute(f"PRAGMA wal_autocheckpoint = {_PAGES if self.lasting else 0}")
        await self._patiently("BEGIN IMMEDIATE")

    async def prepare(self) -> None:
        """Write-ahead log, and a commit that is on the disk when it returns. Raises StoreError where that fails."""
        await self._patiently("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = FULL")
        (mode,) = self.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = self.execute("PRAGMA synchronous").fetchone()
        if mode not in {"wal", "memory"} or synchronous < _FULL:
            raise StoreError(
                "SQLite",
                f"journal_mode is {mode} and synchronous is {synchronous} where wal and {_FULL} were asked for",
            )

    async def _patiently(self, sql: str) -> None:
        end, pause = time.monotonic() + _BUSY_SECONDS, 0.001
        while True:
            try:
                self.execute(sql)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
            else:
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)


@final
class InlineSQLite(SQLiteDialect_pysqlite):
    """The dialect. Every transaction begins as a writer, so that none fails half-way because another writes."""

    driver = "busbridge"
    is_async = True
    has_terminate = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - SQLAlchemy's interface
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        arguments, options = super().create_connect_args(url)
        ours = {
            "factory": InlineConnection,
            "isolation_level": None,  # transactions are begun here, not by sqlite3
            "check_same_thread": False,  # COMMIT is in a thread
            "timeout": 0,  # SQLite would wait on the loop
        }
        return arguments, {**options, **ours}

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        functions = super().on_connect()

        def connected(connection: DBAPIConnection) -> None:
            functions(connection)
            await_only(connection.prepare())  # the factory's class

        return connected

    def detect_autocommit_setting(self, dbapi_conn: DBAPIConnection) -> bool:  # noqa: ARG002 - SQLAlchemy's interface
        return False

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        await_only(dbapi_connection.dbapi_connection.begin())  # type: ignore[union-attr]

    def do_execute(
        self,
        cursor: DBAPICursor,
        statement: str,
        parameters: Any,
        context: ExecutionContext | None = None,  # noqa: ARG002 - SQLAlchemy's interface
    ) -> None:
        refuse_ending(statement)
        cursor.execute(statement, parameters)

    def do_terminate(self, dbapi_connection: DBAPIConnection) -> None:
        sqlite3.Connection.close(dbapi_connection)  # type: ignore[arg-type]
