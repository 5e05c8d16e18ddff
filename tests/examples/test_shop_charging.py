"""The payment gateway would charge twice: the key keeps it from that, and the audit sees where the key is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busbridge import Context, Service
from busbridge.envelope import new_id
from examples.shop.contracts import PaymentFailed, PaymentSucceeded, ProcessOrder
from examples.shop.demo.audit import differences, double_charges, repeated_charges
from examples.shop.gateway import Declined, PaymentGateway, payment_gateway
from tests.examples.conftest import run_in_memory
from tests.examples.saboteurs import SabotagedTransports, double_one

if TYPE_CHECKING:
    from examples.shop.order import Order

pytestmark = pytest.mark.usefixtures("shop_data")


def naive_processor() -> Service[PaymentGateway]:
    """As the shop's, with a new key for each attempt, as where nobody thought of it."""
    service = Service("order-processor", publishes=[PaymentSucceeded, PaymentFailed], lifespan=payment_gateway)

    @service.subscription("orders").handles(ProcessOrder)
    async def charge_customer(order: ProcessOrder, context: Context[PaymentGateway]) -> None:
        news = {"order_id": order.order_id, "customer_id": order.customer_id}
        try:
            await context.resources.charge(order.order_id, order.total_cents, key=new_id())
        except Declined as declined:
            context.publish(PaymentFailed(**news, reason=str(declined)))
        else:
            context.publish(PaymentSucceeded(**news, paid_cents=order.total_cents))

    return service


async def test_a_handler_without_the_key_charges_twice_and_the_audit_says_whom(
    few_orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.shop.demo.run.order_processor", naive_processor())

    placed = few_orders[:20]  # no answer to these is lost

    await run_in_memory(placed, SabotagedTransports("orders", double_one))

    assert double_charges() == 1
    assert differences(placed)[0].startswith("charged for order 00001: 2933 + 2933 instead of 2933")


async def test_with_the_key_the_gateway_is_asked_again_and_charges_once(few_orders: list[Order]) -> None:
    await run_in_memory(few_orders, SabotagedTransports("orders", double_one))

    assert repeated_charges() > 1
    assert double_charges() == 0
    assert differences(few_orders) == []
