"""Inventory reserves what is ordered, and takes it back when nobody pays."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated, PaymentFailed
from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def shelves() -> AsyncGenerator[Database]:
    """What the handlers use: opened with the bus, closed after the last handler."""
    with open_database("inventory", reserved="items", released="") as database:
        yield database


inventory = Service("inventory", lifespan=shelves)
stock = inventory.subscription("stock")


@stock.handles(OrderCreated)
async def reserve(order: OrderCreated, context: Context[Database]) -> None:
    """Holds the items back."""
    context.resources.add("reserved", order.order_id, order.items)


@stock.handles(PaymentFailed)
async def release(failure: PaymentFailed, context: Context[Database]) -> None:
    """Ends the reservation, also one that is only now on its way: a topic promises no order."""
    context.resources.add("released", failure.order_id)
