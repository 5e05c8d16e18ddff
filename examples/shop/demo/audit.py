"""The books at the end: what every service wrote into its database, against what the orders say."""

from __future__ import annotations

from collections import defaultdict
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from examples.shop.database import open_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from examples.shop.database import Row
    from examples.shop.order import Order

_NAMED: Final = 3
"""Differences of one book that are named; the rest is counted."""


def differences(orders: Sequence[Order]) -> list[str]:
    """Everything that is not as the orders say, in words; empty when the books balance."""
    return [*live_differences(orders), *_rebuilt()]


def live_differences(orders: Sequence[Order]) -> list[str]:
    """The same, of what the services wrote while messages came: all but what loyalty reads again in the end."""
    return [*_payments(orders), *_copies(orders), *_history(orders)]


def double_charges() -> int:
    """Charges that the provider made for an order beyond the first."""
    charged = [order_id for _key, order_id, _cents in _rows("gateway", "charges")]
    return len(charged) - len(set(charged))


def repeated_charges() -> int:
    """Charges that the provider was asked for again with the same key, and did not make."""
    return len(_rows("gateway", "repetitions"))


def _payments(orders: Sequence[Order]) -> Iterator[str]:
    """Every order is charged once, but for those that cost nothing: they are declined."""
    due = [(each.order_id, each.total_cents) for each in orders if each.total_cents]
    charged = [(order_id, cents) for _key, order_id, cents in _rows("gateway", "charges")]
    yield from _compared("charged for order", due, charged)


def _copies(orders: Sequence[Order]) -> Iterator[str]:
    """Every service got its own copy of everything it subscribed to."""
    items = [(each.order_id, each.items) for each in orders]
    totals = [(each.order_id, each.total_cents) for each in orders]
    placed = [(each.order_id,) for each in orders]
    declined = [(each.order_id,) for each in orders if not each.total_cents]
    yield from _compared("reserved by inventory for order", items, _rows("inventory", "reserved"))
    yield from _compared("released by inventory for order", declined, _rows("inventory", "released"))
    yield from _compared("invoiced by billing for order", totals, _rows("billing", "invoices"))
    yield from _compared("closed by billing for order", totals, _rows("billing", "closed"))
    yield from _compared("mails about order", placed, [row[:1] for row in _rows("notification", "about_orders")])
    yield from _compared("mails about payment", declined, [row[:1] for row in _rows("notification", "about_payments")])


def _history(orders: Sequence[Order]) -> Iterator[str]:
    """The stream told analytics each customer's orders in order, and told loyalty the same again."""
    placed = [(each.customer_id, each.order_id, each.total_cents) for each in orders]
    sales, points = _by_customer("analytics", "sales"), _by_customer("loyalty", "points")
    yield from _compared("revenue of customer", _summed(placed), _summed(sales))
    yield from _compared("orders in order of customer", placed, sales)
    yield from _compared("replayed to loyalty for customer", sales, points)


def _rebuilt() -> Iterator[str]:
    """Reading the stream without a subscription found the same once more."""
    points, rebuilt = _by_customer("loyalty", "points"), _by_customer("loyalty", "rebuilt")
    yield from _compared("rebuilt by loyalty for customer", points, rebuilt)


def _by_customer(service: str, table: str) -> list[Row]:
    return [(customer, order_id, cents) for order_id, customer, cents in _rows(service, table)]


def _rows(service: str, table: str) -> list[Row]:
    with open_database(service) as database:
        return database.rows(table)


def _summed(rows: Iterable[Row]) -> list[Row]:
    sums: defaultdict[str, int] = defaultdict(int)
    for customer, _order_id, cents in rows:
        sums[customer] += cents
    return list(sums.items())


def _compared(what: str, expected: Iterable[Row], found: Iterable[Row]) -> Iterator[str]:
    """Where rows differ, by their first column; the rows of one must stand in the same order, too."""
    wanted, there = _grouped(expected), _grouped(found)
    wrong = [each for each in {**wanted, **there} if wanted.get(each) != there.get(each)]
    for each in wrong[:_NAMED]:
        yield f"{what} {each}: {_text(there.get(each))} instead of {_text(wanted.get(each))}"
    if len(wrong) > _NAMED:
        yield f"{what}: {len(wrong) - _NAMED:,} more"


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for key, *values in rows:
        groups[key].append(tuple(values))
    return dict(groups)


def _text(rows: Sequence[Row] | None) -> str:
    """The rows in one short line."""
    if rows is None:
        return "nothing"
    return shorten(" + ".join(" ".join(map(str, row)) or "1" for row in rows), 60, placeholder=" ...")
