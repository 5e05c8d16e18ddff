"""The three rows of an effect by a bare database client, a transaction for each: no broker, no message read or sent.

What anybody pays who writes inbox and outbox by hand, without batches.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import asyncpg

from benchmarks.databases import path_of
from benchmarks.orders import Envelopes, encoded, orders
from benchmarks.places import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Job

_INBOX = "INSERT INTO inbox (place, source, id, state) VALUES ($1, $2, $3, $4)"
_EFFECT = "INSERT INTO effects (order_id, customer_id, total_cents) VALUES ($1, $2, $3)"
_OUTBOX = "INSERT INTO outbox (destination, key, headers, body) VALUES ($1, $2, $3, $4)"


class _Rows:
    """What is inserted: made once, since the clients are measured, and not this."""

    def __init__(self, mark: str) -> None:
        """`mark` begins a parameter, in the language of the client."""
        (order,) = orders(1)
        headers = "\n".join(f"{name}: {value}" for name, value in Envelopes("ce_", "bench").headers(order))
        self._sql = [sql.replace("$", mark) for sql in (_INBOX, _EFFECT, _OUTBOX)]
        self._effect = (order.customer_id, order.total_cents)
        self._outbox = ("booked", order.customer_id, headers, encoded(order))

    def of(self, number: int) -> Iterator[tuple[str, tuple[object, ...]]]:
        """The statements of one message."""
        name = f"{number:010}"
        inbox = ("bench.orders/book", "bench", name, "handled")
        return zip(self._sql, (inbox, (name, *self._effect), self._outbox), strict=True)


async def sqlite3_per_message(job: Job) -> None:
    rows = _Rows("?")
    with closing(sqlite3.connect(path_of(job.database), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for number in range(job.total):
            if number == job.warm_up:
                job.meter.start()
            connection.execute("BEGIN IMMEDIATE")
            for sql, values in rows.of(number):
                connection.execute(sql, values)
            connection.execute("COMMIT")
        job.meter.stop()


async def asyncpg_per_message(job: Job) -> None:
    """In as many lanes as busbridge has, a connection each."""
    async with asyncpg.create_pool(job.database, min_size=CONCURRENCY, max_size=CONCURRENCY) as pool:
        await _insert(pool, iter(range(job.warm_up)))
        job.meter.start()
        await _insert(pool, iter(range(job.warm_up, job.total)))
        job.meter.stop()


async def _insert(pool: asyncpg.Pool, numbers: Iterator[int]) -> None:
    rows = _Rows("$")

    async def lane() -> None:
        async with pool.acquire() as connection:
            for number in numbers:
                async with connection.transaction():
                    for sql, values in rows.of(number):
                        await connection.execute(sql, *values)

    await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))
