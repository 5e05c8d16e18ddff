"""Checkout: what customers order becomes messages. It only publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge import Service
from examples.shop.contracts import OrderCreated, ProcessOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from busbridge import Bus, Contract
    from examples.shop.order import Order

checkout = Service("checkout", publishes=[OrderCreated, ProcessOrder])


async def place(orders: Iterable[Order], bus: Bus[None]) -> None:
    """Publishes all orders, in order; returns once the brokers have confirmed every message."""
    await bus.publish_many(message for order in orders for message in messages_of(order))


def messages_of(order: Order) -> Iterator[Contract]:
    """News for everybody, and work for one."""
    yield OrderCreated(
        order_id=order.order_id, customer_id=order.customer_id, items=order.items, total_cents=order.total_cents
    )
    yield ProcessOrder(
        order_id=order.order_id, customer_id=order.customer_id, items=order.items, total_cents=order.total_cents
    )
