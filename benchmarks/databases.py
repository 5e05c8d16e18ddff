"""Where effects happen in one round: a new database, with the tables that the sides need."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRESQL: Final = "BUSBRIDGE_TEST_POSTGRESQL_URL"
TABLES: Final = (
    "CREATE TABLE effects (order_id text, customer_id text, total_cents integer)",
    "CREATE TABLE inbox (place text, source text, id text, state text, PRIMARY KEY (place, source, id))",
)
OUTBOX: Final = "CREATE TABLE outbox (id {id} PRIMARY KEY, destination text, key text, headers text, body {bytes})"
"""The user's own table, and what somebody needs who writes inbox and outbox by hand."""


@contextlib.contextmanager
def new_database(kind: str) -> Iterator[str]:
    """The URL of a database that goes afterwards."""
    with _file() if kind == "sqlite" else _database() as url:
        yield url


@contextlib.contextmanager
def _file() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        with closing(sqlite3.connect(path_of(url))) as connection:
            for sql in (*TABLES, OUTBOX.format(id="integer", bytes="blob")):
                connection.execute(sql)
        yield url


@contextlib.contextmanager
def _database() -> Iterator[str]:
    server, name = os.environ[POSTGRESQL], f"bench_{uuid.uuid4().hex[:12]}"
    url = f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(_execute(url, *TABLES, OUTBOX.format(id="bigserial", bytes="bytea")))
        yield url
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for sql in statements:
            await connection.execute(sql)
    finally:
        await connection.close()


def path_of(url: str) -> Path:
    """The file of SQLite's URL."""
    return Path(url.removeprefix("sqlite:///"))


async def count(url: str, table: str) -> int:
    """The rows of a table."""
    sql = f"SELECT count(*) FROM {table}"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(path_of(url))) as file:
            return int(file.execute(sql).fetchone()[0])
    connection: Any = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()
