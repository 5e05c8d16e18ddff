"""The store's statements through a cursor of the user's own, of any driver that writes a parameter as `%s`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from busbridge.store._tables import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from busbridge.store._rows import OutboxRow, TimerRow

_READ_IDENTITY: Final = "SELECT identity FROM busbridge_schema"
_PUT_OUTBOX: Final = """
INSERT INTO busbridge_outbox (service, slot, message_id, destination, routing_key, key, headers, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""

_DROP_TIMER: Final = "DELETE FROM busbridge_timers WHERE id = %s"
_PUT_TIMER: Final = """
INSERT INTO busbridge_timers (service, id, place, due, attempt, key, headers, body, position)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


class Cursor(Protocol):
    """What is used of one."""

    def execute(self, sql: str, /) -> object: ...
    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> object: ...
    def fetchone(self) -> Any: ...


def identity(cursor: Cursor, tables: Collection[str]) -> str:
    """The identity of the database that a cursor is in, which has `tables`; empty where no store was ever opened."""
    if schema.name not in tables:
        return ""
    cursor.execute(_READ_IDENTITY)
    return str(cursor.fetchone()[0])


def put_outbox(cursor: Cursor, service: str, rows: Sequence[OutboxRow]) -> None:
    """Inserts in this order, in the transaction that the cursor is in."""
    cursor.executemany(_PUT_OUTBOX, [(service, *row[1:-1]) for row in rows])


def drop_timers(cursor: Cursor, ids: Sequence[str]) -> None:
    """Deletes them, in the transaction that the cursor is in."""
    cursor.executemany(_DROP_TIMER, [(each,) for each in ids])


def put_timers(cursor: Cursor, service: str, rows: Callable[[float], Sequence[TimerRow]], clock: str) -> None:
    """As `put_outbox`; `rows` is given what `clock`, a statement, says. A timer of the same id is replaced."""
    cursor.execute(clock)
    found = rows(float(cursor.fetchone()[0]))
    drop_timers(cursor, [row.id for row in found])
    cursor.executemany(_PUT_TIMER, [(service, *row) for row in found])
