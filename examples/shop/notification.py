"""Notification writes to customers. Its handlers are plain functions, as mail clients block: they run in threads."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated, PaymentFailed
from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def outbox() -> AsyncGenerator[Database]:
    """The mails written: about an order, and about a payment."""
    with open_database("notification", about_orders="text", about_payments="text") as database:
        yield database


notification = Service("notification", lifespan=outbox)
mails = notification.subscription("mails")


def is_large(order: OrderCreated) -> bool:
    """Worth a personal word."""
    return order.total_cents >= 100_00


@mails.handles(OrderCreated, when=is_large)
def thank_personally(order: OrderCreated, context: Context[Database]) -> None:
    """Takes the large orders; the handler below takes the rest."""
    context.resources.add("about_orders", order.order_id, f"Dear {order.customer_id}, what a splendid order!")


@mails.handles(OrderCreated)
def confirm_order(order: OrderCreated, context: Context[Database]) -> None:
    """The usual mail."""
    context.resources.add("about_orders", order.order_id, f"{order.customer_id}: {order.items} items ordered.")


@mails.handles(PaymentFailed)
def ask_to_pay_again(failure: PaymentFailed, context: Context[Database]) -> None:
    """Tells what went wrong."""
    context.resources.add("about_payments", failure.order_id, f"{failure.customer_id}: {failure.reason}.")
