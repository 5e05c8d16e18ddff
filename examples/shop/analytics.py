"""Analytics keeps the revenue per customer, from the stream of all orders."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated
from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def figures() -> AsyncGenerator[Database]:
    """Sales by order, to be added up by customer."""
    with open_database("analytics", sales="customer_id cents") as database:
        yield database


analytics = Service("analytics", lifespan=figures)
revenue = analytics.subscription("revenue")


@revenue.handles(OrderCreated)
async def count_sale(order: OrderCreated, context: Context[Database]) -> None:
    """Called in the customer's own order: the customer is the contract's key."""
    context.resources.add("sales", order.order_id, order.customer_id, order.total_cents)
