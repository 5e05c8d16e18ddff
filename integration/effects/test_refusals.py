"""What PostgreSQL refuses of one message is that message's failure, and no other's."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from busbridge import Bus, Context, Service
from busbridge.runtime import MemoryTransports
from integration.effects.contracts import Ordered
from integration.effects.databases import PostgreSQLDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from integration.brokers import PostgreSQL

EFFECT = text("INSERT INTO effects (order_id) VALUES (:order_id)")
LONG = random.Random(1).randbytes(4000).hex()
"""Longer than an entry of an index may be, also compressed."""


@asynccontextmanager
async def opened(
    postgresql: PostgreSQL, worker: Service[None], **subscription: Any
) -> AsyncGenerator[tuple[PostgreSQLDatabase, Bus[None], Bus[None]]]:
    """The database, a bus that publishes, and the worker's."""
    database = PostgreSQLDatabase(postgresql)
    await database.create()
    transports = MemoryTransports()
    config: dict[str, Any] = {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"orders": {"kind": "queue", "transport": "broker"}},
        "routes": {"effects.ordered": {"to": "orders"}},
        "services": {
            "worker": {
                "store": {"url": database.url, "upgrade": True},
                "subscriptions": {"work": {"from": "orders", **subscription}},
            }
        },
    }
    try:
        async with (
            Bus(Service("out", publishes=[Ordered]), config, transports=transports) as out,
            Bus(worker, config, transports=transports) as bus,
        ):
            yield database, out, bus
    finally:
        await database.remove()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("field", [None, "order_id"], ids=["by the envelope", "by a field"])
async def test_a_message_is_known_again_by_any_id(postgresql: PostgreSQL, field: str | None) -> None:
    """A NUL is no text to PostgreSQL, and there are ids that no index takes."""
    ids = ["plain", LONG, LONG + "2"]
    worker: Service[None] = Service("worker")

    @worker.subscription("work").handles(Ordered, idempotency_key=field)
    async def work(order: Ordered, context: Context) -> None:
        await context.connection.execute(EFFECT, {"order_id": str(len(order.order_id))})

    async with opened(postgresql, worker) as (database, out, bus):
        for each in (*ids, "a\0b") if field else ids:
            for _ in range(2):
                await out.publish(Ordered(order_id=each), message_id=None if field else each)
        known = 4 if field else 3
        await until(lambda: bus.counts["work"].duplicate == known)
        assert len(await database.column("SELECT order_id FROM effects")) == known


SWALLOWED = ["SELECT 1 / 0"]
AT_COMMIT = ["INSERT INTO checked_late VALUES (1)"] * 2


@pytest.mark.parametrize("statements", [SWALLOWED, AT_COMMIT], ids=["a swallowed error", "at COMMIT"])
async def test_a_message_that_breaks_every_transaction_dies_after_its_attempts_and_the_others_are_handled(
    postgresql: PostgreSQL, statements: list[str]
) -> None:
    """PostgreSQL commits nothing after a statement that failed outside of a savepoint, and checks some things late."""
    worker: Service[None] = Service("worker")
    attempts = []

    @worker.subscription("work").handles(Ordered)
    async def work(order: Ordered, context: Context) -> None:
        await context.connection.execute(EFFECT, {"order_id": order.order_id})
        if order.order_id == "bad":
            attempts.append(context.delivery.attempt)
            with suppress(DBAPIError):
                for each in statements:
                    await context.connection.execute(text(each))

    async with opened(postgresql, worker) as (database, out, bus):
        await database.column("CREATE TABLE checked_late (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await out.publish_many(Ordered(order_id=each) for each in ("before", "bad", "after"))
        await until(lambda: bus.counts["work"].dead == {"failed": 1} and bus.counts["work"].handled == 2)
        assert sorted(await database.column("SELECT order_id FROM effects")) == ["after", "before"]
    assert list(dict.fromkeys(attempts)) == [1, 2, 3]
