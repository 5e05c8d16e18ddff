"""Databases whose inbox has had many messages: filled once for a work, and used by all its rounds."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, final

import asyncpg

from benchmarks.databases import new_database, path_of
from busbridge.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.works import Side, Work

    Tell = Callable[[str], None]

FILLER: Final = "bench-filler"
"""The service whose messages they were: its name is beside those of the rounds, so that they share pages."""
_AT_ONCE: Final = 500_000
_COLUMNS: Final = "place, source, message_id, run, service, state, attempt, crashes, redrive, changed"
_VALUES: Final = "'{service}.orders/book', '{service}', {id}, '', '{service}', 'handled', 1, 0, '', {now}"
_POSTGRESQL: Final = f"INSERT INTO busbridge_inbox ({_COLUMNS}) SELECT " + _VALUES.format(
    service=FILLER,
    id="lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0')",
    now="extract(epoch FROM now())",
)
_SQLITE: Final = f"INSERT INTO busbridge_inbox ({_COLUMNS}) SELECT " + _VALUES.format(
    service=FILLER, id="printf('%08x-0000-7000-8000-%012x', n, n)", now="unixepoch()"
)


@final
class Filled:
    """The databases of one work's sides that ask for rows; gone when it is left."""

    def __init__(self, work: Work, scale: float, tell: Tell) -> None:
        self._work = work
        self._scale = scale
        self._tell = tell
        self._stack = ExitStack()
        self._urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextmanager
    def database(self, side: Side) -> Iterator[str]:
        """For one round: a new one, or the side's own as it was when it was filled."""
        if not side.inbox:
            with new_database(self._work.database) as url:
                yield url
            return
        if side.name not in self._urls:
            self._urls[side.name] = self._fill(round(side.inbox * self._scale))
        try:
            yield self._urls[side.name]
        finally:
            _execute(self._urls[side.name], *_emptied())

    def _fill(self, rows: int) -> str:
        url = self._stack.enter_context(new_database(self._work.database))
        asyncio.run(_upgrade(url))
        for first in range(0, rows, _AT_ONCE):
            if first:
                self._tell(f"inbox: {first:,} of {rows:,} rows")
            _execute(url, _insert(url, first, min(first + _AT_ONCE, rows)))
        _execute(url, *_settled(url))
        return url


async def _upgrade(url: str) -> None:
    store = Store(url, FILLER)
    try:
        await store.open(upgrade=True)
    finally:
        await store.close()


def _insert(url: str, first: int, end: int) -> str:
    if url.startswith("sqlite"):
        numbers = f"WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {end}) "
        return f"{numbers}{_SQLITE} FROM s"
    return f"{_POSTGRESQL} FROM generate_series({first}, {end - 1}) AS n"


def _settled(url: str) -> tuple[str, ...]:
    """What the database does by itself in the hours in which an inbox grows, and would do during the rounds."""
    if url.startswith("sqlite"):
        return ("ANALYZE busbridge_inbox",)
    return ("VACUUM (FREEZE, ANALYZE) busbridge_inbox", "CHECKPOINT")


def _emptied() -> tuple[str, ...]:
    return (f"DELETE FROM busbridge_inbox WHERE service > '{FILLER}' OR service < '{FILLER}'", "DELETE FROM effects")


def _execute(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(path_of(url))) as file, file:
            for sql in statements:
                file.execute(sql)
    else:
        asyncio.run(_execute_there(url, statements))


async def _execute_there(url: str, statements: tuple[str, ...]) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        for sql in statements:
            await connection.execute(sql, timeout=600)
    finally:
        await connection.close()
