"""Single handlers of the shop, as a user would test them."""

from __future__ import annotations

import pytest

from busbridge.testing import RecordingContext
from examples.shop.contracts import OrderCreated, PaymentFailed, PaymentSucceeded, ProcessOrder
from examples.shop.database import open_database
from examples.shop.gateway import ConflictingCharge, payment_gateway
from examples.shop.notification import confirm_order, is_large, thank_personally
from examples.shop.order_processor import charge_customer, order_processor

pytestmark = pytest.mark.usefixtures("shop_data")


def order(cents: int) -> ProcessOrder:
    return ProcessOrder(order_id="a", customer_id="c", items=1, total_cents=cents)


async def test_a_paid_order_is_told_and_charged_once_however_often_it_is_processed() -> None:
    async with payment_gateway() as gateway:
        context = RecordingContext(resources=gateway, idempotency_key="m1")
        await charge_customer(order(150), context)
        await charge_customer(order(150), context)

    assert context.published_of(PaymentSucceeded)[0] == PaymentSucceeded(order_id="a", customer_id="c", paid_cents=150)
    with open_database("gateway") as books:
        assert books.rows("charges") == [("m1", "a", 150)]


async def test_an_order_that_costs_nothing_is_declined() -> None:
    async with payment_gateway() as gateway:
        context = RecordingContext(resources=gateway)
        await charge_customer(order(0), context)

    (failed,) = context.published
    assert failed == PaymentFailed(order_id="a", customer_id="c", reason="there is nothing to pay")


async def test_another_order_under_a_used_key_is_fatal() -> None:
    async with payment_gateway() as gateway:
        await charge_customer(order(150), RecordingContext(resources=gateway, idempotency_key="m1"))
        with pytest.raises(ConflictingCharge):
            await charge_customer(order(151), RecordingContext(resources=gateway, idempotency_key="m1"))

    (handler,) = order_processor.subscriptions["orders"].handlers
    assert handler.fatal == (ConflictingCharge,)


def test_a_large_order_is_thanked_for_in_person() -> None:
    large = OrderCreated(order_id="a", customer_id="c", items=9, total_cents=100_00)
    small = OrderCreated(order_id="b", customer_id="c", items=1, total_cents=99_99)
    assert is_large(large)
    assert not is_large(small)

    with open_database("notification", about_orders="text") as outbox:
        thank_personally(large, RecordingContext(resources=outbox))
        confirm_order(small, RecordingContext(resources=outbox))
        assert outbox.rows("about_orders") == [
            ("a", "Dear c, what a splendid order!"),
            ("b", "c: 1 items ordered."),
        ]
