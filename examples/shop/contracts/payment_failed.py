"""News: an order will not be paid."""

from busbridge import Contract


class PaymentFailed(Contract, name="shop.payment-failed", version=1):
    """The payment provider declined, for good."""

    order_id: str
    customer_id: str
    reason: str
