"""News: a customer has ordered."""

from decimal import Decimal

from pydantic import NonNegativeInt, PositiveInt

from busbridge import Contract
from busbridge.contract import JsonObject


class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=2, key="customer_id"):
    """A customer has ordered. The orders of one customer keep their order on a stream: the customer is the key."""

    order_id: str
    customer_id: str
    items: PositiveInt
    total_cents: NonNegativeInt


@OrderCreated.upcaster(from_version=1)
def dollars_to_cents(order: JsonObject) -> JsonObject:
    """Version 1 gave the total in dollars, as text: "29.33"."""
    order["total_cents"] = int(Decimal(order.pop("total")) * 100)
    return order
