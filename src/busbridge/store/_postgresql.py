"""The store's statements on PostgreSQL, by asyncpg itself: arrays instead of a statement for each row."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, final

from busbridge.store._rows import InboxKey, InboxRow, InboxState, OutboxRow, ParkedRow, RunRow, TimerRow, Trouble
from busbridge.store._statements import Lease, Waiting, WaitingTimers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

FAILED: Final = "busbridge_failed"
"""In the `info` of a connection: a statement of SQLAlchemy's has failed on it."""
INFO: Final = "busbridge_info"
"""Among the execution options of a connection: its `info`."""
WAITED: Final = "busbridge_waited"
"""In the same: seconds that statements of SQLAlchemy's have taken."""

_NOW: Final = "SELECT extract(epoch FROM statement_timestamp())::float8"

_READ_INBOX: Final = """
SELECT place, source, message_id, run, state, attempt, crashes, redrive
FROM busbridge_inbox AS row
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (place, source, message_id, run)
USING (place, source, message_id, run)
ORDER BY place, source, message_id, run
FOR UPDATE OF row"""
_NEW_INBOX: Final = """
INSERT INTO busbridge_inbox (place, source, message_id, run, state, attempt, crashes, redrive, service, changed)
SELECT *, $9, extract(epoch FROM statement_timestamp())
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::text[])
ON CONFLICT DO NOTHING"""
_KNOWN_INBOX: Final = """
UPDATE busbridge_inbox AS row
SET state = new.state, attempt = new.attempt, crashes = new.crashes, redrive = new.redrive,
    changed = extract(epoch FROM statement_timestamp())
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::text[])
    AS new (place, source, message_id, run, state, attempt, crashes, redrive)
WHERE row.place = new.place AND row.source = new.source AND row.message_id = new.message_id AND row.run = new.run"""
_CLEAN: Final = """
DELETE FROM busbridge_inbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM busbridge_inbox
    WHERE service = $1 AND changed < $2::float8 AND state IN ('handled', 'dead')
    ORDER BY changed LIMIT $3 FOR UPDATE SKIP LOCKED))"""

_PUT_OUTBOX: Final = """
INSERT INTO busbridge_outbox (slot, message_id, destination, routing_key, key, headers, body, service)
SELECT *, $8
FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[])"""
_PENDING: Final = """
SELECT id, slot, message_id, destination, routing_key, key, headers, body, attempts FROM busbridge_outbox AS row
WHERE service = $1 AND NOT parked AND due <= extract(epoch FROM statement_timestamp()) AND slot = ANY ($2::smallint[])
    AND destination <> ALL ($4::text[]) AND NOT EXISTS (
    SELECT 1 FROM busbridge_outbox AS held
    WHERE held.service = $1 AND held.destination = row.destination AND held.key = row.key AND held.id < row.id
        AND held.attempts > 0 AND (held.parked OR held.due > extract(epoch FROM statement_timestamp())))
ORDER BY id LIMIT $3"""
_FAILED: Final = """
UPDATE busbridge_outbox AS row
SET attempts = attempts + 1, error = new.error, due = $4::float8 + coalesce(new.seconds, 0),
    parked = new.seconds IS NULL
FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS new (id, error, seconds) WHERE row.id = new.id"""
_WAITING: Final = """
SELECT count(*) FILTER (WHERE NOT parked), count(*) FILTER (WHERE parked),
    $2::float8 - min(created) FILTER (WHERE NOT parked)
FROM busbridge_outbox WHERE service = $1"""
_BACKLOG: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM busbridge_outbox WHERE service = $1 AND NOT parked ORDER BY id LIMIT $2) AS waiting"""

_PUT_TIMERS: Final = """
INSERT INTO busbridge_timers (id, place, due, attempt, key, headers, body, position, service)
SELECT *, $9
FROM unnest($1::text[], $2::text[], $3::float8[], $4::int[], $5::text[], $6::text[], $7::bytea[], $8::text[])
ON CONFLICT (id) DO UPDATE SET
    place = excluded.place, due = excluded.due, attempt = excluded.attempt, key = excluded.key,
    headers = excluded.headers, body = excluded.body, position = excluded.position, owner = NULL, claimed = 0"""
_CLAIM: Final = """
UPDATE busbridge_timers SET owner = $2, claimed = $4::float8 + $5::float8
WHERE id = ANY (ARRAY(
    SELECT id FROM busbridge_timers WHERE place = ANY ($1::text[]) AND due <= $4::float8 AND claimed <= $4::float8
    ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, place, due, attempt, key, headers, body, position"""

_TIMER: Final = "SELECT id, place, due, attempt, key, headers, body, position FROM busbridge_timers"
_RELEASING: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('busbridge timers of ' || $1, 0))"
_TAKE: Final = """
DELETE FROM busbridge_timers WHERE id = ANY (ARRAY(
    SELECT id FROM busbridge_timers WHERE place = $1 AND due <= $2::float8
    ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, place, due, attempt, key, headers, body, position"""
_WAITING_TIMERS: Final = """
SELECT place, count(*), min(due) FROM busbridge_timers WHERE service = $1 GROUP BY place ORDER BY place"""

_PARKED: Final = """
SELECT wanted.key FROM unnest($2::text[]) AS wanted (key), LATERAL (
    SELECT id FROM busbridge_parked AS row WHERE row.subscription = $1 AND row.key = wanted.key
    ORDER BY id LIMIT 1 FOR SHARE) AS first"""
_PUT_PARKED: Final = """
INSERT INTO busbridge_parked (subscription, key, place, attempt, headers, body, position, service)
SELECT *, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bytea[], $7::text[])"""
_UNPARK: Final = """
DELETE FROM busbridge_parked
WHERE id = (SELECT min(id) FROM busbridge_parked WHERE subscription = $1 AND key = $2)"""
_FIRST_PARKED: Final = """
SELECT subscription, key, place, attempt, headers, body, position FROM busbridge_parked
WHERE subscription = $1 AND key = $2 ORDER BY id LIMIT 1"""
_READ_RUN: Final = """
SELECT run, subscription, publish, done, progress FROM busbridge_runs WHERE service = $1 AND run = $2"""
_PUT_RUN: Final = """
INSERT INTO busbridge_runs AS row (service, run, subscription, publish, done, progress, owner, until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::float8 + $9::float8)
ON CONFLICT (service, run) DO UPDATE SET
    publish = excluded.publish, done = excluded.done, progress = excluded.progress,
    owner = excluded.owner, until = excluded.until
WHERE row.owner = excluded.owner OR row.until <= $8::float8"""

_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('busbridge leases of ' || $1, 0))"
_DEAD: Final = "DELETE FROM busbridge_owners WHERE service = $1 AND until <= $2::float8"
_ALIVE: Final = """
INSERT INTO busbridge_owners (service, owner, until) VALUES ($1, $2, $3::float8)
ON CONFLICT (service, owner) DO UPDATE SET until = excluded.until"""
_LEASE: Final = """
INSERT INTO busbridge_leases (service, slot, owner, until)
SELECT $1, slot, $2, $4::float8 FROM unnest($3::smallint[]) AS slot
ON CONFLICT (service, slot) DO UPDATE SET owner = excluded.owner, until = excluded.until"""


@final
class PostgreSQLStatements:
    """See `Statements`."""

    def __init__(self, connection: Any, info: dict[Any, Any]) -> None:
        self._connection = connection
        self._info = info
        self._ahead: float | None = None
        self._released = False
        self._info[WAITED] = 0.0
        self._healthy()

    @property
    def waited(self) -> float:
        return self._info[WAITED]  # type: ignore[no-any-return]

    async def now(self) -> float:
        ahead = self._ahead
        if ahead is None:
            clock: float = await self._connection.fetchval(_NOW)
            ahead = self._ahead = clock - time.monotonic()
        return time.monotonic() + ahead

    async def savepoint(self) -> None:
        await self._connection.execute(
            "RELEASE busbridge; SAVEPOINT busbridge" if self._released else "SAVEPOINT busbridge"
        )
        self._released = False

    async def release(self) -> None:
        await self.ensure_open()
        self._released = True  # told to the server with the next savepoint: a round trip less for each message

    async def rollback_to(self) -> None:
        await self._connection.execute("ROLLBACK TO busbridge")
        self._healthy()

    @property
    def sound(self) -> bool:
        return not self._info.get(FAILED)

    async def ensure_open(self) -> None:
        if not self.sound:  # the server takes COMMIT of a failed transaction for ROLLBACK, and says nothing
            await self._connection.execute("SELECT 1")
            self._healthy()

    async def inbox(self, keys: Sequence[InboxKey]) -> list[InboxRow]:
        if not keys:
            return []
        rows = await self._connection.fetch(_READ_INBOX, *_columns(keys))
        return [InboxRow(InboxKey(*row[:4]), InboxState(row[4]), *row[5:]) for row in map(tuple, rows)]

    async def put_inbox(self, service: str, new: Sequence[InboxRow], known: Sequence[InboxRow]) -> bool:
        if known:  # locked since they were read
            await self._connection.execute(_KNOWN_INBOX, *_columns(map(_values, known)))
        if not new:
            return True
        inserted = await self._count(_NEW_INBOX, *_columns(map(_values, new)), service)
        return inserted == len(new)

    async def put_outbox(self, service: str, rows: Sequence[OutboxRow]) -> int | None:
        await self._connection.execute(_PUT_OUTBOX, *_columns(row[1:-1] for row in rows), service)
        return None  # another transaction may commit lower ids later

    async def put_timers(self, service: str, rows: Sequence[TimerRow]) -> None:
        ordered = sorted({row.id: row for row in rows}.values())
        await self._connection.execute(_PUT_TIMERS, *_columns(ordered), service)

    async def drop_timers(self, ids: Collection[str]) -> int:
        return await self._count("DELETE FROM busbridge_timers WHERE id = ANY ($1::text[])", list(ids))

    async def parked(self, subscription: str, keys: Collection[str]) -> list[str]:
        return [key for (key,) in await self._connection.fetch(_PARKED, subscription, list(keys))]

    async def put_parked(self, service: str, rows: Sequence[ParkedRow]) -> None:
        await self._connection.execute(_PUT_PARKED, *_columns(rows), service)

    async def next_parked(self, subscription: str, key: str) -> ParkedRow | None:
        await self._connection.execute(_UNPARK, subscription, key)
        row = await self._connection.fetchrow(_FIRST_PARKED, subscription, key)
        return None if row is None else ParkedRow(*row)

    async def pending(
        self, service: str, slots: Collection[int], limit: int, without: Collection[str]
    ) -> list[OutboxRow]:
        rows = await self._connection.fetch(_PENDING, service, list(slots), limit, list(without))
        return [OutboxRow(*row) for row in rows]

    async def newest(self, service: str, pending: int) -> int | None:  # noqa: ARG002 - as `put_outbox`
        return None

    async def sent(self, ids: Collection[int]) -> None:
        await self._connection.execute("DELETE FROM busbridge_outbox WHERE id = ANY ($1::bigint[])", list(ids))

    async def failed(self, troubles: Sequence[Trouble]) -> None:
        await self._connection.execute(_FAILED, *_columns(troubles), await self.now())

    async def waiting(self, service: str) -> Waiting:
        return Waiting(*await self._connection.fetchrow(_WAITING, service, await self.now()))

    async def backlog(self, service: str, most: int) -> int:
        return await self._connection.fetchval(_BACKLOG, service, most)  # type: ignore[no-any-return]  # a count

    async def claim_timers(self, places: Collection[str], owner: str, limit: int, seconds: float) -> list[TimerRow]:
        rows = await self._connection.fetch(_CLAIM, list(places), owner, limit, await self.now(), seconds)
        return sorted((TimerRow(*row) for row in rows), key=lambda row: row.due)

    async def take_timers(self, place: str, limit: int) -> list[TimerRow]:
        if not await self._connection.fetchval(_RELEASING, place):
            return []
        rows = await self._connection.fetch(_TAKE, place, await self.now(), limit)
        return sorted((TimerRow(*row) for row in rows), key=lambda row: (row.due, row.id))

    async def next_due(self, place: str) -> float | None:
        sql = "SELECT min(due) FROM busbridge_timers WHERE place = $1"
        return await self._connection.fetchval(sql, place)  # type: ignore[no-any-return]  # a float8

    async def timers(self, service: str, place: str | None, limit: int) -> list[TimerRow]:
        sql = f"{_TIMER} WHERE service = $1 AND ($2::text IS NULL OR place = $2) ORDER BY due, id LIMIT $3"
        return [TimerRow(*row) for row in await self._connection.fetch(sql, service, place, limit)]

    async def waiting_timers(self, service: str) -> list[WaitingTimers]:
        return [WaitingTimers(*row) for row in await self._connection.fetch(_WAITING_TIMERS, service)]

    async def advance_timers(self, service: str, seconds: float) -> None:
        sql = "UPDATE busbridge_timers SET due = due - $2::float8 WHERE service = $1"
        await self._connection.execute(sql, service, seconds)

    async def run(self, service: str, run: str) -> RunRow | None:
        row = await self._connection.fetchrow(_READ_RUN, service, run)
        return None if row is None else RunRow(*row)

    async def put_run(self, service: str, row: RunRow, owner: str, seconds: float) -> bool:
        return await self._count(_PUT_RUN, service, *row, owner, await self.now(), seconds) > 0

    async def live_owners(self, service: str, owner: str, seconds: float) -> list[str]:
        await self._connection.execute(_ALONE, service)
        await self._connection.execute(_DEAD, service, await self.now())
        await self._connection.execute(_ALIVE, service, owner, await self.now() + seconds)
        rows = await self._connection.fetch("SELECT owner FROM busbridge_owners WHERE service = $1", service)
        return sorted(found for (found,) in rows)

    async def leases(self, service: str) -> list[Lease]:
        sql = "SELECT slot, owner, until FROM busbridge_leases WHERE service = $1 AND until > $2"
        return [Lease(*row) for row in await self._connection.fetch(sql, service, await self.now())]

    async def put_leases(self, service: str, owner: str, slots: Collection[int], seconds: float) -> None:
        await self._connection.execute("DELETE FROM busbridge_leases WHERE service = $1 AND owner = $2", service, owner)
        await self._connection.execute(_LEASE, service, owner, list(slots), await self.now() + seconds)

    async def drop_owner(self, service: str, owner: str) -> None:
        await self._connection.execute("DELETE FROM busbridge_owners WHERE service = $1 AND owner = $2", service, owner)

    async def clean(self, service: str, window: float, limit: int) -> int:
        return await self._count(_CLEAN, service, await self.now() - window, limit)

    def _healthy(self) -> None:
        self._info[FAILED] = False

    async def _count(self, sql: str, *values: object) -> int:
        """The number of rows in the answer, such as `DELETE 3` or `INSERT 0 3`."""
        return int((await self._connection.execute(sql, *values)).rpartition(" ")[2])


def _values(row: InboxRow) -> tuple[object, ...]:
    return (*row.key, row.state.value, *row[2:])


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
