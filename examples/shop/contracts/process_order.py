"""Work: an order that somebody must process."""

from pydantic import NonNegativeInt, PositiveInt

from busbridge import Contract


class ProcessOrder(Contract, name="shop.process-order", version=1):
    """Have this order paid."""

    order_id: str
    customer_id: str
    items: PositiveInt
    total_cents: NonNegativeInt
