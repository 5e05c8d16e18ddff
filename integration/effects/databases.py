"""The databases that effects happen in, seen by bare clients: a new one for each test."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from pathlib import Path

    from integration.brokers import PostgreSQL

EFFECTS = "CREATE TABLE effects (order_id text, call text)"  # nothing in it keeps an effect from happening twice


class SQLiteFile:
    def __init__(self, file: Path) -> None:
        self.url = f"sqlite:///{file}"
        self._file = file

    async def create(self) -> None:
        await self.column(EFFECTS)

    async def column(self, sql: str) -> list[Any]:
        """The first column of what `sql` finds."""
        with closing(sqlite3.connect(self._file)) as connection:
            return [row[0] for row in connection.execute(sql)]

    async def remove(self) -> None:
        """The folder goes with the test."""


class PostgreSQLDatabase:
    def __init__(self, server: PostgreSQL) -> None:
        self._server = server.url
        self._name = f"effects_{uuid.uuid4().hex[:12]}"
        self.url = f"{self._server.rpartition('/')[0]}/{self._name}"

    async def create(self) -> None:
        await self._execute(self._server, f"CREATE DATABASE {self._name}")
        await self._execute(self.url, EFFECTS)

    async def column(self, sql: str) -> list[Any]:
        """The first column of what `sql` finds."""
        return [row[0] for row in await self._execute(self.url, sql)]

    async def remove(self) -> None:
        await self._execute(self._server, f"DROP DATABASE {self._name} WITH (FORCE)")

    async def _execute(self, url: str, sql: str) -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()
