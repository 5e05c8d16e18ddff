"""The store's statements on SQLite. They run at once, on the caller's thread."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final, final

from busbridge.store._rows import InboxKey, InboxRow, InboxState, OutboxRow, ParkedRow, RunRow, TimerRow, Trouble
from busbridge.store._statements import Lease, Waiting, WaitingTimers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_READ_INBOX: Final = """
WITH wanted (a, b, c, d) AS (VALUES {wanted})
SELECT place, source, message_id, run, state, attempt, crashes, redrive FROM wanted CROSS JOIN busbridge_inbox
WHERE place = a AND source = b AND message_id = c AND run = d"""
_READ_AT_ONCE: Final = 100
"""Keys looked up by one statement: a statement costs more than finding a row."""
_PUT_INBOX: Final = """
INSERT INTO busbridge_inbox (place, source, message_id, run, service, state, attempt, crashes, redrive, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (place, source, message_id, run) DO UPDATE SET
    state = excluded.state, attempt = excluded.attempt, crashes = excluded.crashes, redrive = excluded.redrive,
    changed = excluded.changed"""
_CLEAN: Final = """
DELETE FROM busbridge_inbox WHERE rowid IN (
    SELECT rowid FROM busbridge_inbox WHERE service = ? AND changed < ? AND state IN ('handled', 'dead')
    ORDER BY changed LIMIT ?)"""

_PUT_OUTBOX: Final = """
INSERT INTO busbridge_outbox (service, slot, message_id, destination, routing_key, key, headers, body, created)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PENDING: Final = """
SELECT id, slot, message_id, destination, routing_key, key, headers, body, attempts FROM busbridge_outbox AS row
WHERE service = ?1 AND NOT parked AND due <= ?2 AND slot IN ({slots})
    AND destination NOT IN ({without}) AND NOT EXISTS (
    SELECT 1 FROM busbridge_outbox AS held
    WHERE held.service = ?1 AND held.destination = row.destination AND held.key = row.key AND held.id < row.id
        AND held.attempts > 0 AND (held.parked OR held.due > ?2))
ORDER BY id LIMIT ?3"""
_FAILED: Final = "UPDATE busbridge_outbox SET attempts = attempts + 1, error = ?, due = ?, parked = ? WHERE id = ?"
_WAITING: Final = """
SELECT coalesce(sum(NOT parked), 0), coalesce(sum(parked), 0), ? - min(CASE WHEN NOT parked THEN created END)
FROM busbridge_outbox WHERE service = ?"""
_NEWEST: Final = """
SELECT seq FROM sqlite_sequence WHERE name = 'busbridge_outbox'
    AND ?2 = (SELECT count(*) FROM (SELECT 1 FROM busbridge_outbox WHERE service = ?1 AND NOT parked LIMIT ?2 + 1))
    AND NOT EXISTS (SELECT 1 FROM busbridge_outbox WHERE service = ?1 AND attempts > 0)"""
_BACKLOG: Final = """
SELECT count(*) FROM (SELECT 1 FROM busbridge_outbox WHERE service = ? AND NOT parked ORDER BY id LIMIT ?)"""

_PUT_TIMER: Final = """
INSERT OR REPLACE INTO busbridge_timers (service, id, place, due, attempt, key, headers, body, position)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TIMER: Final = "SELECT id, place, due, attempt, key, headers, body, position FROM busbridge_timers"
_DUE: Final = """
SELECT id, place, due, attempt, key, headers, body, position FROM busbridge_timers
WHERE place IN ({places}) AND due <= ?1 AND claimed <= ?1 ORDER BY due LIMIT ?2"""
_WAITING_TIMERS: Final = """
SELECT place, count(*), min(due) FROM busbridge_timers WHERE service = ? GROUP BY place ORDER BY place"""
_CLAIM: Final = "UPDATE busbridge_timers SET owner = ?, claimed = ? WHERE id = ?"

_PUT_PARKED: Final = """
INSERT INTO busbridge_parked (service, subscription, key, place, attempt, headers, body, position, since)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UNPARK: Final = """
DELETE FROM busbridge_parked WHERE id = (SELECT min(id) FROM busbridge_parked WHERE subscription = ? AND key = ?)"""
_FIRST_PARKED: Final = """
SELECT subscription, key, place, attempt, headers, body, position FROM busbridge_parked
WHERE subscription = ? AND key = ? ORDER BY id LIMIT 1"""
_READ_RUN: Final = """
SELECT run, subscription, publish, done, progress FROM busbridge_runs WHERE service = ? AND run = ?"""
_PUT_RUN: Final = """
INSERT INTO busbridge_runs (service, run, subscription, publish, done, progress, owner, until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 + ?9)
ON CONFLICT (service, run) DO UPDATE SET
    publish = excluded.publish, done = excluded.done, progress = excluded.progress,
    owner = excluded.owner, until = excluded.until
WHERE owner = excluded.owner OR until <= ?8"""

_ALIVE: Final = "INSERT OR REPLACE INTO busbridge_owners (service, owner, until) VALUES (?, ?, ?)"
_LEASE: Final = "INSERT OR REPLACE INTO busbridge_leases (service, slot, owner, until) VALUES (?, ?, ?, ?)"


@final
class SQLiteStatements:
    """See `Statements`. The process's wall clock is the database's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def _open(self) -> sqlite3.Connection:
        """The connection, in its transaction.

        SQLite ends a transaction by itself after INSERT OR ROLLBACK, or when the disk is full; what is done then is
        committed at once, statement by statement.
        """
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("SQLite has rolled the transaction back, for a statement that failed in it")
        return self._connection

    @property
    def waited(self) -> float:
        return 0.0

    async def now(self) -> float:
        return time.time()

    async def savepoint(self) -> None:
        self._open.execute("SAVEPOINT busbridge")

    async def release(self) -> None:
        self._open.execute("RELEASE busbridge")

    async def rollback_to(self) -> None:
        self._open.execute("ROLLBACK TO busbridge")

    @property
    def sound(self) -> bool:
        return self._connection.in_transaction

    async def ensure_open(self) -> None:
        _ = self._open

    async def inbox(self, keys: Sequence[InboxKey]) -> list[InboxRow]:
        found: list[InboxRow] = []
        for begin in range(0, len(keys), _READ_AT_ONCE):
            wanted = keys[begin : begin + _READ_AT_ONCE]
            sql = _READ_INBOX.format(wanted=", ".join(["(?, ?, ?, ?)"] * len(wanted)))
            rows = self._open.execute(sql, [each for key in wanted for each in key])
            found += [InboxRow(InboxKey(*row[:4]), InboxState(row[4]), *row[5:]) for row in rows]
        return found

    async def put_inbox(self, service: str, new: Sequence[InboxRow], known: Sequence[InboxRow]) -> bool:
        now = time.time()
        values = [(*row.key, service, row.state.value, *row[2:], now) for row in (*new, *known)]
        self._open.executemany(_PUT_INBOX, values)
        return True  # who writes is alone from BEGIN on

    async def put_outbox(self, service: str, rows: Sequence[OutboxRow]) -> int | None:
        now = time.time()
        self._open.executemany(_PUT_OUTBOX, [(service, *row[1:-1], now) for row in rows])
        (last,) = self._open.execute("SELECT last_insert_rowid()").fetchone()
        return last  # type: ignore[no-any-return]  # who writes is alone, and what is rolled back takes its ids along

    async def put_timers(self, service: str, rows: Sequence[TimerRow]) -> None:
        self._open.executemany(_PUT_TIMER, [(service, *row) for row in rows])

    async def drop_timers(self, ids: Collection[str]) -> int:
        return self._for_each("DELETE FROM busbridge_timers WHERE id = ?", ids)

    async def parked(self, subscription: str, keys: Collection[str]) -> list[str]:
        sql = "SELECT 1 FROM busbridge_parked WHERE subscription = ? AND key = ? LIMIT 1"
        return [key for key in keys if self._open.execute(sql, (subscription, key)).fetchone() is not None]

    async def put_parked(self, service: str, rows: Sequence[ParkedRow]) -> None:
        now = time.time()
        self._open.executemany(_PUT_PARKED, [(service, *row, now) for row in rows])

    async def next_parked(self, subscription: str, key: str) -> ParkedRow | None:
        self._open.execute(_UNPARK, (subscription, key))
        row = self._open.execute(_FIRST_PARKED, (subscription, key)).fetchone()
        return None if row is None else ParkedRow(*row)

    async def pending(
        self, service: str, slots: Collection[int], limit: int, without: Collection[str]
    ) -> list[OutboxRow]:
        unwanted = ", ".join(f"?{number}" for number in range(4, 4 + len(without)))
        sql = _PENDING.format(slots=", ".join(map(str, sorted(slots))), without=unwanted)
        return [OutboxRow(*row) for row in self._open.execute(sql, (service, time.time(), limit, *without))]

    async def newest(self, service: str, pending: int) -> int | None:
        found = self._open.execute(_NEWEST, (service, pending)).fetchone()
        return None if found is None else found[0]

    async def sent(self, ids: Collection[int]) -> None:
        self._for_each("DELETE FROM busbridge_outbox WHERE id = ?", ids)

    async def failed(self, troubles: Sequence[Trouble]) -> None:
        now = time.time()
        self._open.executemany(
            _FAILED, [(each.error, now + (each.seconds or 0), each.seconds is None, each.id) for each in troubles]
        )

    async def waiting(self, service: str) -> Waiting:
        return Waiting(*self._open.execute(_WAITING, (time.time(), service)).fetchone())

    async def backlog(self, service: str, most: int) -> int:
        (found,) = self._open.execute(_BACKLOG, (service, most)).fetchone()
        return found  # type: ignore[no-any-return]  # a count

    async def claim_timers(self, places: Collection[str], owner: str, limit: int, seconds: float) -> list[TimerRow]:
        now = time.time()
        sql = _DUE.format(places=", ".join(f"?{number}" for number in range(3, 3 + len(places))))
        rows = [TimerRow(*row) for row in self._open.execute(sql, (now, limit, *places))]
        self._open.executemany(_CLAIM, [(owner, now + seconds, row.id) for row in rows])
        return rows

    async def take_timers(self, place: str, limit: int) -> list[TimerRow]:
        sql = f"{_TIMER} WHERE place = ? AND due <= ? ORDER BY due, id LIMIT ?"
        rows = [TimerRow(*row) for row in self._open.execute(sql, (place, time.time(), limit))]
        await self.drop_timers([row.id for row in rows])
        return rows

    async def next_due(self, place: str) -> float | None:
        (due,) = self._open.execute("SELECT min(due) FROM busbridge_timers WHERE place = ?", (place,)).fetchone()
        return due  # type: ignore[no-any-return]  # min of a column of numbers

    async def timers(self, service: str, place: str | None, limit: int) -> list[TimerRow]:
        sql = f"{_TIMER} WHERE service = ?1 AND (?2 IS NULL OR place = ?2) ORDER BY due, id LIMIT ?3"
        return [TimerRow(*row) for row in self._open.execute(sql, (service, place, limit))]

    async def waiting_timers(self, service: str) -> list[WaitingTimers]:
        return [WaitingTimers(*row) for row in self._open.execute(_WAITING_TIMERS, (service,))]

    async def advance_timers(self, service: str, seconds: float) -> None:
        self._open.execute("UPDATE busbridge_timers SET due = due - ? WHERE service = ?", (seconds, service))

    async def run(self, service: str, run: str) -> RunRow | None:
        row = self._open.execute(_READ_RUN, (service, run)).fetchone()
        return None if row is None else RunRow(row[0], row[1], row[2], bool(row[3]), row[4])

    async def put_run(self, service: str, row: RunRow, owner: str, seconds: float) -> bool:
        values = (service, *row, owner, time.time(), seconds)
        return self._open.execute(_PUT_RUN, values).rowcount > 0

    async def live_owners(self, service: str, owner: str, seconds: float) -> list[str]:
        now = time.time()
        self._open.execute("DELETE FROM busbridge_owners WHERE until <= ?", (now,))
        self._open.execute(_ALIVE, (service, owner, now + seconds))
        sql = "SELECT owner FROM busbridge_owners WHERE service = ? ORDER BY owner"
        return [found for (found,) in self._open.execute(sql, (service,))]

    async def leases(self, service: str) -> list[Lease]:
        sql = "SELECT slot, owner, until FROM busbridge_leases WHERE service = ? AND until > ?"
        return [Lease(*row) for row in self._open.execute(sql, (service, time.time()))]

    async def put_leases(self, service: str, owner: str, slots: Collection[int], seconds: float) -> None:
        self._open.execute("DELETE FROM busbridge_leases WHERE service = ? AND owner = ?", (service, owner))
        until = time.time() + seconds
        self._open.executemany(_LEASE, [(service, slot, owner, until) for slot in slots])

    async def drop_owner(self, service: str, owner: str) -> None:
        self._open.execute("DELETE FROM busbridge_owners WHERE service = ? AND owner = ?", (service, owner))

    async def clean(self, service: str, window: float, limit: int) -> int:
        return self._open.execute(_CLEAN, (service, time.time() - window, limit)).rowcount

    def _for_each(self, sql: str, values: Collection[Any]) -> int:
        return self._open.executemany(sql, [(value,) for value in values]).rowcount
