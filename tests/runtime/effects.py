"""What the tests of effects share: a service with a store that keeps a ledger in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, String, Table, select

from busbridge import Service
from tests.runtime.conftest import Reserved

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge import Context

metadata = MetaData()
ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", String, nullable=False),
    Column("source", String, nullable=False, default=""),
)


def stock_service() -> tuple[Service[None], Any]:
    service: Service[None] = Service("stock", publishes=[Reserved])
    return service, service.subscription("reserve")


def with_store(config: dict[str, Any], url: str = "sqlite:///unused.db", **retry: object) -> dict[str, Any]:
    service = config["services"]["stock"]
    service["store"] = {"url": url, "upgrade": "true"}
    if retry:
        service["subscriptions"]["reserve"]["retry"] = retry
    return config


async def write(order_id: str, context: Context) -> None:
    await context.connection.execute(ledger.insert().values(order_id=order_id, source=context.source))


async def make_tables(bus: Any) -> None:
    async with bus._storing.store.transaction() as transaction:
        await transaction.connection.run_sync(metadata.create_all)


async def written(bus: Any) -> list[str]:
    """The order ids in the ledger, in the order they were written."""
    async with bus._storing.store.transaction() as transaction:
        rows = await transaction.connection.execute(select(ledger.c.order_id).order_by(ledger.c.id))
        return [row.order_id for row in rows]


def attempts_at_once(count: int) -> dict[str, object]:
    return {"attempts": count}


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for what no event tells of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
