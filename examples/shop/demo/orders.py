"""The orders that customers place: real purchases of 1997 and 1998, or a file of the user's own."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from pydantic import ValidationError

from busbridge.errors import BusbridgeError, Fault, Location
from examples.shop.order import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PURCHASES: Final = Path(__file__).parent.parent / "data" / "cdnow-purchases.txt"

_LISTED: Final = 20
"""Faults that an error lists; the rest is counted."""

ALLOWED: Final = {
    "order_id": "1 to 100 letters, digits, '.', '_', ':' or '-', each once in the file",
    "customer_id": "1 to 100 letters, digits, '.', '_', ':' or '-'",
    "date": "a date such as 1997-01-31",
    "items": "a whole number from 1 to 1000000",
    "total": "US dollars from 0 on with two decimals at most, such as 29.33",
}
"""By column of an orders file: what may stand there. All columns are needed, others are ignored."""


def purchases() -> list[Order]:
    """The 6,919 purchases that come with the shop, in the order of their dates."""
    lines = PURCHASES.read_text(encoding="ascii").splitlines()
    return _by_date(_purchase(number, *line.split()) for number, line in enumerate(lines, start=1))


def _purchase(number: int, customer: str, _sample: str, day: str, items: str, total: str) -> Order:
    return Order(
        order_id=f"{number:05d}",
        customer_id=customer,
        date=date.fromisoformat(day),
        items=int(items),
        total=Decimal(total),
    )


class InvalidOrders(BusbridgeError):
    """A file of orders holds what is no order. Carries every fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        more = len(faults) - _LISTED
        listed = [*map(str, faults[:_LISTED]), *([f"and {more:,} more"] if more > 0 else [])]
        super().__init__("\n".join(["no order was placed:", *(f"  {each}" for each in listed)]))


def read_orders(path: Path) -> list[Order]:
    """The orders of a CSV or JSON Lines file, in the order of their dates.

    Raises InvalidOrders with every fault, each with file, line and column; one bad row refuses the file.
    """
    reader = _Reader(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader.read(file)
    except (OSError, UnicodeError, csv.Error) as error:
        reader.fault(f"it can't be read: {error}")
    if reader.faults:
        raise InvalidOrders(reader.faults)
    return _by_date(reader.orders)


class _Reader:
    """Collects the orders of one file, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.orders: list[Order] = []
        self.faults: list[Fault] = []
        self._path = path
        self._lines: dict[str, int] = {}

    def fault(self, problem: str, line: int | None = None, column: str | None = None) -> None:
        location = Location((column,) if column else (), str(self._path), line)
        self.faults.append(Fault(problem, location, f"allowed: {ALLOWED[column]}" if column else None))

    def read(self, file: TextIO) -> None:
        rows = {".csv": self._csv_rows, ".jsonl": self._json_rows, ".ndjson": self._json_rows}
        suffix = self._path.suffix.lower()
        if suffix not in rows:
            self.fault("its name must end in .csv, .jsonl or .ndjson")
            return
        for line, row in rows[suffix](file):
            self._take(line, row)
        if not self.orders and not self.faults:
            self.fault("it holds no order")

    def _csv_rows(self, file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
        reader = csv.DictReader(file)
        missing = ALLOWED.keys() - (reader.fieldnames or ())
        for column in sorted(missing):
            self.fault(f"there is no column {column!r}", 1)
        for row in () if missing else reader:
            if None in row:
                self.fault("it has more values than there are columns", reader.line_num)
            else:
                yield reader.line_num, row

    def _json_rows(self, file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_float=Decimal)
            except (ValueError, RecursionError) as error:
                self.fault(f"it is no JSON: {getattr(error, 'msg', error)}", number)
                continue
            if isinstance(row, dict):
                yield number, cast("dict[str, Any]", row)
            else:
                self.fault("it is no JSON object", number)

    def _take(self, line: int, row: dict[str, Any]) -> None:
        try:
            order = Order.model_validate(row)
        except ValidationError as error:
            for column in (str(each["loc"][0]) for each in error.errors()):
                self.fault(_found(row.get(column)), line, column)
            return
        first = self._lines.setdefault(order.order_id, line)
        if first == line:
            self.orders.append(order)
        else:
            self.fault(f"{order.order_id!r} is the order of line {first} already", line, "order_id")


def _found(value: object) -> str:
    return "nothing is there" if value is None or value == "" else f"found '{shorten(str(value), 60)}'"


def _by_date(orders: Iterable[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: order.date)
