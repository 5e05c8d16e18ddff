"""Billing writes an invoice for each order, and closes it when the payment's end is known."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import Context, Service
from examples.shop.contracts import OrderCreated, PaymentFailed, PaymentSucceeded
from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def ledger() -> AsyncGenerator[Database]:
    """Invoices and how they ended."""
    with open_database("billing", invoices="cents", closed="paid_cents") as database:
        yield database


billing = Service("billing", lifespan=ledger)
invoices = billing.subscription("invoices")


@invoices.handles(OrderCreated)
async def write_invoice(order: OrderCreated, context: Context[Database]) -> None:
    """Says what is to be paid."""
    context.resources.add("invoices", order.order_id, order.total_cents)


@invoices.handles(PaymentSucceeded, PaymentFailed)
async def close_invoice(payment: PaymentSucceeded | PaymentFailed, context: Context[Database]) -> None:
    """Says what was paid."""
    paid = payment.paid_cents if isinstance(payment, PaymentSucceeded) else 0
    context.resources.add("closed", payment.order_id, paid)
