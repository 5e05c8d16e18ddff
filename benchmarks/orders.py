"""What is published and consumed: one pydantic model, the same for every side, and the headers around it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter

from busbridge import Contract

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMERS = 1_000
BODY_BYTES = 809
"""The size of an encoded order, give or take the digits of its time."""


class Line(BaseModel):
    sku: str
    title: str
    quantity: int
    unit_cents: int


class _Order(Contract):
    order_id: str
    customer_id: str
    placed_ns: int
    total_cents: int
    currency: str
    email: str
    street: str
    city: str
    country: str
    coupon: str | None
    note: str
    lines: list[Line]


class OrderPlaced(_Order, name="bench.order-placed", version=1, key="customer_id"):
    """An order as a shop would publish it. For the other sides it is a pydantic model like any other."""


class OrderBooked(_Order, name="bench.order-booked", version=1, key="customer_id"):
    """What a handler publishes in answer, of the same size."""


TYPE = "bench.order-placed"
SCHEMA = "busbridge:contracts/bench.order-placed/1"
CONTENT_TYPE = "application/json"
MODELS = {(TYPE, SCHEMA): OrderPlaced}
"""What a received message is, by its type and schema: how the raw sides find the model."""

_encoder = TypeAdapter(OrderPlaced)
_ADDRESS = {
    "currency": "EUR",
    "email": "somebody.with-a-name@mail.example.org",
    "street": "12 Long Street, third floor, second door on the left",
    "city": "Market Harborough",
    "country": "GB",
    "coupon": None,
    "note": (
        "Please leave it with the neighbours if nobody opens, and ring the bell twice, since it is not loud. "
        "Thank you very, very much!"
    ),
}
_LINES = [
    {"sku": f"CD-{each:05}", "title": f"Recording {each:02}, remastered edition", "quantity": 1, "unit_cents": 1_299}
    for each in range(4)
]


def orders(count: int) -> Iterator[OrderPlaced]:
    """New orders, each built and validated from its values at the moment it is asked for."""
    for number in range(count):
        yield OrderPlaced(
            order_id=f"{number:010}",
            customer_id=f"customer-{number % CUSTOMERS:05}",
            placed_ns=time.monotonic_ns(),
            total_cents=100_000 + number % 1_000,
            lines=_LINES,  # type: ignore[arg-type]  # validated: that is a part of the work
            **_ADDRESS,  # type: ignore[arg-type]
        )


def encoded(order: OrderPlaced) -> bytes:
    """The body."""
    return _encoder.dump_json(order)


class Envelopes:
    """Makes the CloudEvents headers of messages as busbridge writes them: what is the same for all is made once."""

    def __init__(self, prefix: str, source: str) -> None:
        self._constant = [
            ("content-type", CONTENT_TYPE),
            (f"{prefix}specversion", "1.0"),
            (f"{prefix}type", TYPE),
            (f"{prefix}source", source),
            (f"{prefix}dataschema", SCHEMA),
        ]
        self._id, self._time, self._key = f"{prefix}id", f"{prefix}time", f"{prefix}partitionkey"

    def headers(self, order: OrderPlaced) -> list[tuple[str, str]]:
        """The headers of one message, with a new id and the time."""
        return [
            *self._constant,
            (self._id, str(uuid4())),
            (self._time, datetime.now(UTC).isoformat()),
            (self._key, order.customer_id),
        ]
