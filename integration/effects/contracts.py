"""What travels in these tests."""

from __future__ import annotations

from busbridge import Contract


class Ordered(Contract, name="effects.ordered", version=1, key="order_id"):
    """Has one effect: a row, and one message that says so."""

    order_id: str
    failures: int = 0
    """Attempts that fail."""
    seconds: float = 0
    """What handling it takes."""
    deadly: bool = False
    """Whether it kills the process that handles it."""


class Booked(Contract, name="effects.booked", version=1, key="order_id"):
    order_id: str
