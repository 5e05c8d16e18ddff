"""What the services of the shop say to each other: one contract a file."""

from examples.shop.contracts.order_created import OrderCreated
from examples.shop.contracts.payment_failed import PaymentFailed
from examples.shop.contracts.payment_succeeded import PaymentSucceeded
from examples.shop.contracts.process_order import ProcessOrder

__all__ = ["OrderCreated", "PaymentFailed", "PaymentSucceeded", "ProcessOrder"]
