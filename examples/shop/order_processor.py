"""The order processor has each order paid. Run as many as the work needs: they share one queue."""

from __future__ import annotations

from busbridge import Context, Service
from examples.shop.contracts import PaymentFailed, PaymentSucceeded, ProcessOrder
from examples.shop.gateway import ConflictingCharge, Declined, PaymentGateway, payment_gateway

order_processor = Service("order-processor", publishes=[PaymentSucceeded, PaymentFailed], lifespan=payment_gateway)
orders = order_processor.subscription("orders")


@orders.handles(ProcessOrder, fatal=(ConflictingCharge,))
async def charge_customer(order: ProcessOrder, context: Context[PaymentGateway]) -> None:
    """Charges once, though it may be called again: the key is the same in every repetition, after a crash too.

    No transaction holds a charge, so the gateway has to know it again. What is published goes out when this has
    returned. A lost answer is raised, so that it is called again; a conflict is fatal: the message becomes a dead
    letter at once.
    """
    try:
        await context.resources.charge(order.order_id, order.total_cents, key=context.idempotency_key)
    except Declined as declined:
        context.publish(PaymentFailed(order_id=order.order_id, customer_id=order.customer_id, reason=str(declined)))
    else:
        context.publish(
            PaymentSucceeded(order_id=order.order_id, customer_id=order.customer_id, paid_cents=order.total_cents)
        )
