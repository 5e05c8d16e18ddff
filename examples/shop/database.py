"""The services' databases: SQLite files in the folder that SHOP_DATA names. The replicas of a service share one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import create_engine
from sqlalchemy.schema import CreateTable

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy import MetaData

Row: TypeAlias = "tuple[Any, ...]"
"""The id, then the other columns."""


def make_tables(service: str, tables: MetaData) -> None:
    """Makes the tables of a service that has a store, where they are missing, in the database of that store.

    Migrations would do this in earnest.
    """
    engine = create_engine(f"sqlite:///{_file(service)}")
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
    engine.dispose()


# Statements block: each takes some 20 microseconds, less than a thread hop. A database elsewhere would be awaited.


class Database:
    """For services without a store: rows with an id. A message may come twice, and so may a row: it is added once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, table: str, row_id: str, *values: str | int) -> bool:
        """Adds a row. False where there is one of this id already, which stays as it is."""
        marks = ", ".join(["?"] * (1 + len(values)))
        return self._execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row_id, *values).rowcount == 1

    def row(self, table: str, row_id: str) -> Row | None:
        """The row of this id, if there is one."""
        return next(iter(self._execute(f"SELECT * FROM {table} WHERE id = ?", row_id)), None)

    def rows(self, table: str) -> list[Row]:
        """All rows, in the order they were added."""
        return self._execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()

    def _execute(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


@contextmanager
def open_database(name: str, **tables: str) -> Generator[Database]:
    """The database of one service, with its tables made where they are missing: name to columns beside the id."""
    # The threads of plain handlers share the connection, which SQLite serialises.
    with closing(sqlite3.connect(_file(name), isolation_level=None, check_same_thread=False)) as connection:
        # Outlives a killed process, if not a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        for table, columns in tables.items():
            listed = ", ".join(["id TEXT PRIMARY KEY", *columns.split()])
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed})")
        yield Database(connection)


def _file(name: str) -> Path:
    folder = Path(os.environ.get("SHOP_DATA", "shop-data"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.db"
