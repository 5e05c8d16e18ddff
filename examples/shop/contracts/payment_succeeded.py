"""News: an order is paid."""

from pydantic import PositiveInt

from busbridge import Contract


class PaymentSucceeded(Contract, name="shop.payment-succeeded", version=1):
    """The customer has paid for the order."""

    order_id: str
    customer_id: str
    paid_cents: PositiveInt
