"""An attempt that is cut off in the middle of a statement counts, whatever becomes of its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from busbridge import Bus, Context, Service
from busbridge.runtime import MemoryTransports
from integration.effects.contracts import Ordered
from integration.effects.databases import PostgreSQLDatabase

if TYPE_CHECKING:
    from integration.brokers import PostgreSQL

EFFECT = text("INSERT INTO effects (order_id) VALUES (:order_id)")


@pytest.mark.parametrize("attempts", [1, 3])
async def test_an_attempt_that_hangs_in_the_database_has_failed_and_leaves_nothing(
    postgresql: PostgreSQL, attempts: int
) -> None:
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
                "subscriptions": {"work": {"from": "orders", "retry": {"attempts": attempts, "limit": "300ms"}}},
            }
        },
    }
    service = Service("worker")
    calls = []

    @service.subscription("work").handles(Ordered)
    async def work(order: Ordered, context: Context) -> None:
        await context.connection.execute(EFFECT, {"order_id": order.order_id})
        if order.order_id == "hangs":
            calls.append(context.delivery.attempt)
            await context.connection.execute(text("SELECT pg_sleep(30)"))

    try:
        async with (
            Bus(Service("out", publishes=[Ordered]), config, transports=transports) as out,
            Bus(service, config, transports=transports) as bus,
        ):
            await out.publish_many(Ordered(order_id=each) for each in ("before", "hangs", "after"))
            counts = bus.counts["work"]
            async with asyncio.timeout(30):
                while (counts.handled, counts.dead) != (2, {"timed_out": 1}):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.02)
            assert calls == list(range(1, attempts + 1))
        assert sorted(await database.column("SELECT order_id FROM effects")) == ["after", "before"]
    finally:
        await database.remove()
