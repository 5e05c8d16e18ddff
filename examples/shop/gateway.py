"""A payment provider's client. The provider is made up, with the habits of real ones, and keeps books of its own.

Its books are a file that outlives every process of the shop: a charge stands from the moment it is asked for.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Final
from zlib import crc32

from examples.shop.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_LOST: Final = 100
"""One answer in so many does not arrive."""


class Declined(Exception):
    """The provider will not charge this, now or later."""


class ConflictingCharge(Exception):
    """The key was used before for something else: a fault of the caller's, which no repetition mends."""


class AnswerLost(Exception):
    """The connection went before the answer came. Charged or not? Ask again, with the same key."""


class PaymentGateway:
    """Charges once per key, however often it is asked; whoever asks with another key each time pays each time."""

    def __init__(self, books: Database) -> None:
        self._books = books

    async def charge(self, order_id: str, cents: int, *, key: str) -> None:
        """Raises Declined, ConflictingCharge, AnswerLost."""
        if cents == 0:
            raise Declined("there is nothing to pay")
        is_new = self._books.add("charges", key, order_id, cents)
        if not is_new:
            self._recognise(key, order_id, cents)
        elif crc32(order_id.encode()) % _LOST == 0:
            raise AnswerLost(f"no answer to the charge of order {order_id!r}")

    def _recognise(self, key: str, order_id: str, cents: int) -> None:
        """Notes what it was asked again, and does not charge."""
        if self._books.row("charges", key) != (key, order_id, cents):
            raise ConflictingCharge(f"key {key!r} stands for another charge than {cents} cents for order {order_id!r}")
        self._books.add("repetitions", token_hex(8), order_id)


@asynccontextmanager
async def payment_gateway() -> AsyncGenerator[PaymentGateway]:
    """A connection to the provider."""
    with open_database("gateway", charges="order_id cents", repetitions="order_id") as books:
        yield PaymentGateway(books)
