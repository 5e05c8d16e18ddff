"""Checkout: what customers order becomes messages. It only publishes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, Table, Text, func, insert, select

from busbridge import Service
from examples.shop.contracts import OrderCreated, ProcessOrder
from examples.shop.database import make_tables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from busbridge import Bus, Contract
    from examples.shop.order import Order

tables: Final = MetaData()
placed: Final = Table("placed", tables, Column("order_id", Text))


@asynccontextmanager
async def till() -> AsyncGenerator[None]:
    """The table is there before the first order."""
    make_tables("checkout", tables)
    yield


checkout = Service("checkout", publishes=[OrderCreated, ProcessOrder], lifespan=till)


async def place(orders: Iterable[Order], bus: Bus[None]) -> None:
    """Publishes all orders, in order; returns once the brokers have confirmed every message."""
    await bus.publish_many(message for order in orders for message in messages_of(order))


async def place_next(orders: Sequence[Order], bus: Bus[None], count: int) -> int:
    """Places up to `count` of those that are not placed yet; returns how many are placed then. Needs a store.

    Each of them once, and in order, however often the process is killed: its row and its messages are committed
    together.
    """
    async with bus.transaction() as tx:
        done = await tx.connection.scalar(select(func.count()).select_from(placed)) or 0
        for order in orders[done : done + count]:
            await tx.connection.execute(insert(placed).values(order_id=order.order_id))
            for message in messages_of(order):
                tx.publish(message)
    return min(done + count, len(orders))


def messages_of(order: Order) -> Iterator[Contract]:
    """News for everybody, and work for one."""
    yield OrderCreated(
        order_id=order.order_id, customer_id=order.customer_id, items=order.items, total_cents=order.total_cents
    )
    yield ProcessOrder(
        order_id=order.order_id, customer_id=order.customer_id, items=order.items, total_cents=order.total_cents
    )
