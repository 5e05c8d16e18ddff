"""Loyalty came to the shop last. It reads the stream from its beginning, and so knows every order there ever was."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated
from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busbridge import Bus


@asynccontextmanager
async def club() -> AsyncGenerator[Database]:
    """Points by order, to be added up by customer: one for each cent. Next to them, what `rebuild` has found."""
    with open_database("loyalty", points="customer_id points", rebuilt="customer_id points") as database:
        yield database


loyalty = Service("loyalty", lifespan=club)
points = loyalty.subscription("points")


@points.handles(OrderCreated)
async def give_points(order: OrderCreated, context: Context[Database]) -> None:
    """The same for an order of today and one of last year."""
    context.resources.add("points", order.order_id, order.customer_id, order.total_cents)


async def rebuild(bus: Bus[Database]) -> int:
    """Fills another table from all orders there are now, as after a change of the rules; returns their number.

    The subscription does not notice: nothing is settled by reading, and no position moves.
    """
    reader = bus.read("order-log", OrderCreated, start="earliest", until="now")
    async for each in reader:
        bus.resources.add("rebuilt", each.message.order_id, each.message.customer_id, each.message.total_cents)
    return reader.read
