"""What went wrong in a database, as errors of this library: SQLite's codes and PostgreSQL's, as data."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from busbridge.errors import StoreContention, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SQLITE: Final[dict[int, type[StoreError]]] = {
    sqlite3.SQLITE_BUSY: StoreContention,
    sqlite3.SQLITE_LOCKED: StoreContention,
    sqlite3.SQLITE_CANTOPEN: StoreUnavailable,
    sqlite3.SQLITE_FULL: StoreUnavailable,
    sqlite3.SQLITE_IOERR: StoreUnavailable,
    sqlite3.SQLITE_READONLY: StoreUnavailable,
}
_SQLSTATES: Final[dict[str, type[StoreError]]] = {
    "40001": StoreContention,  # serialization failure
    "40P01": StoreContention,  # deadlock
    "55P03": StoreContention,  # lock not available
    "25006": StoreUnavailable,  # read only: connected to what is a standby now
}
_SQLSTATE_CLASSES: Final[dict[str, type[StoreError]]] = {
    "08": StoreUnavailable,  # connection
    "53": StoreUnavailable,  # disk, memory, connections
    "57": StoreUnavailable,  # shutting down, starting, cancelled by an administrator
    "58": StoreUnavailable,  # the server's own input and output
}
_AWAY: Final = (OSError, asyncio.TimeoutError, PoolTimeout)


def is_a_databases(error: BaseException) -> bool:
    """Whether a database raised it. A broken connection to anything else may be an OSError just as well."""
    return isinstance(error, (StoreError, SQLAlchemyError, sqlite3.Error)) or _is_asyncpgs(error)


def told(error: BaseException, database: str) -> StoreError | None:
    """An error of the store's own work as one of ours; None if it came neither from a database nor the way to it."""
    if isinstance(error, StoreError):
        return error
    chain = list(_chain(error))
    for each in chain:
        if (kind := _kind(each)) is not None:
            return kind(database, _detail(chain, each))
    if any(is_a_databases(each) for each in chain):
        return StoreError(database, _detail(chain, chain[0]))
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it wraps: SQLAlchemy's, its adapter's, the driver's."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.orig if isinstance(current, DBAPIError) and current.orig else current.__cause__


def _kind(error: BaseException) -> type[StoreError] | None:
    if isinstance(error, sqlite3.Error):
        return _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _SQLSTATES.get(state) or _SQLSTATE_CLASSES.get(state[:2])
    if isinstance(error, _AWAY) or _is_cut(error):
        return StoreUnavailable
    return None


def _is_cut(error: BaseException) -> bool:
    """Whether it is asyncpg's way to say that it has no connection, which has no code of its own."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    # The internal error: it heard of the end while it was about to ask for something.
    return _is_asyncpgs(error) and (type(error).__name__ == "InternalClientError" or "clos" in str(error))


def _is_asyncpgs(error: BaseException) -> bool:
    return type(error).__module__.startswith("asyncpg.")


def _detail(chain: Sequence[BaseException], error: BaseException) -> str:
    """The first line of what the driver said, not SQLAlchemy, which quotes the statement. Further lines quote a row."""
    within = chain[chain.index(error) :]
    said = next((each for each in within if not type(each).__module__.startswith("sqlalchemy.")), error)
    return str(said).partition("\n")[0] or type(said).__name__
