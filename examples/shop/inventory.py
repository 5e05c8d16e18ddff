"""Inventory reserves what is ordered, and takes it back when nobody pays. Each row is written once: it has a store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated, PaymentFailed
from examples.shop.database import make_tables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

tables: Final = MetaData()
reserved: Final = Table("reserved", tables, Column("order_id", Text), Column("items", Integer))
released: Final = Table("released", tables, Column("order_id", Text))


@asynccontextmanager
async def shelves() -> AsyncGenerator[None]:
    """The tables are there before the first handler."""
    make_tables("inventory", tables)
    yield


inventory = Service("inventory", lifespan=shelves)
stock = inventory.subscription("stock")


@stock.handles(OrderCreated)
async def reserve(order: OrderCreated, context: Context[None]) -> None:
    """Holds the items back. A message that comes twice does not: the row is committed with the note that it came."""
    await context.connection.execute(insert(reserved).values(order_id=order.order_id, items=order.items))


@stock.handles(PaymentFailed)
async def release(failure: PaymentFailed, context: Context[None]) -> None:
    """Ends the reservation, also one that is only now on its way: a topic promises no order."""
    await context.connection.execute(insert(released).values(order_id=failure.order_id))
