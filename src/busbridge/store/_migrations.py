"""The versions of the schema, and the way from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, insert, inspect, select, text, update

from busbridge.store._tables import metadata, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UPGRADE_LOCK: Final = 0x627573627269646765 >> 8  # any number of 64 bits that nobody else uses

STEPS: Final[Sequence[Callable[[Connection], None]]] = ()
"""What leads from version 1 to 2, from 2 to 3 and so on. A new database gets the tables as they are now."""

VERSION: Final = 1 + len(STEPS)
"""What this library works with."""


class SchemaState(NamedTuple):
    """Which version the database has, and which one is asked for."""

    found: int | None
    """None where there are no tables yet."""
    wanted: int = VERSION
    identity: str = ""
    """Made up once for each database: who reads the same there is in the same database."""

    @property
    def fits(self) -> bool:
        """Whether the store can be opened as it is."""
        return self.found == self.wanted


def state(connection: Connection) -> SchemaState:
    """What the database has now."""
    if not inspect(connection).has_table(schema.name):
        return SchemaState(None)
    found = connection.execute(select(schema.c.version, schema.c.identity)).one()
    return SchemaState(found.version, identity=found.identity)


def upgrade(connection: Connection, steps: Sequence[Callable[[Connection], None]] = STEPS) -> SchemaState:
    """Brings the schema to the newest version, alone: others wait until the transaction has ended.

    Returns what was there before. A schema that is newer is left as it is.
    """
    _be_alone(connection)
    before, newest = state(connection), 1 + len(steps)
    if before.found is None:
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=newest, identity=uuid4().hex))
        return before
    for step in steps[before.found - 1 :]:
        step(connection)
    connection.execute(update(schema).where(schema.c.version < newest).values(version=newest))
    return before


def _be_alone(connection: Connection) -> None:
    """On SQLite every transaction is alone."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
