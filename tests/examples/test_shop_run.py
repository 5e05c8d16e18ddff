"""The shop in memory: its books balance, and show it when they must not."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from examples.shop.demo.audit import differences
from examples.shop.demo.tally import Incomplete
from examples.shop.gateway import ConflictingCharge, PaymentGateway
from tests.examples.conftest import run_in_memory
from tests.examples.saboteurs import SabotagedTransports, double_one, lose_one, turn_around

if TYPE_CHECKING:
    from pathlib import Path

    from examples.shop.order import Order

pytestmark = pytest.mark.usefixtures("shop_data")


async def test_the_books_balance_and_the_workers_share_the_orders(few_orders: list[Order]) -> None:
    tally = await run_in_memory(few_orders)

    assert differences(few_orders) == []
    processors = tally.lines["order-processor.orders"]
    assert len(processors.shares) == 3
    assert all(processors.shares)
    assert sum(processors.shares) == len(few_orders)


async def test_a_lost_answer_of_the_gateway_is_asked_for_again_and_nobody_is_charged_twice(
    few_orders: list[Order],
) -> None:
    tally = await run_in_memory(few_orders)

    assert tally.lines["order-processor.orders"].repeated > 0
    assert differences(few_orders) == []


@pytest.mark.parametrize("destination", ["orders", "order-events", "order-log"])
async def test_a_message_that_comes_twice_is_counted_and_changes_nothing(
    few_orders: list[Order], destination: str
) -> None:
    tally = await run_in_memory(few_orders, SabotagedTransports(destination, double_one))

    assert sum(line.copies for line in tally.lines.values()) >= 1
    assert differences(few_orders) == []


@pytest.mark.parametrize(
    ("destination", "subscription"),
    [
        ("orders", "order-processor.orders has handled 39 of 40"),
        ("order-events", "inventory.stock"),
        ("order-log", "analytics.revenue has handled 39 of 40"),
    ],
)
async def test_a_lost_message_is_missed_by_name(few_orders: list[Order], destination: str, subscription: str) -> None:
    with pytest.raises(Incomplete, match=subscription):
        await run_in_memory(few_orders[:40], SabotagedTransports(destination, lose_one), patience=3)


async def test_a_second_charge_for_an_order_is_found(few_orders: list[Order], monkeypatch: pytest.MonkeyPatch) -> None:
    charge = PaymentGateway.charge

    async def charge_twice(self: PaymentGateway, order_id: str, cents: int, *, key: str) -> None:
        await charge(self, order_id, cents, key=key)
        await charge(self, order_id, cents, key=f"{key}-again")

    monkeypatch.setattr(PaymentGateway, "charge", charge_twice)
    await run_in_memory(few_orders)

    found = differences(few_orders)
    assert found[0] == "charged for order 00001: 2933 + 2933 instead of 2933"
    assert all(each.startswith("charged for order") for each in found)


async def test_a_dead_letter_ends_the_run_by_name(few_orders: list[Order], monkeypatch: pytest.MonkeyPatch) -> None:
    async def confuse(self: PaymentGateway, order_id: str, cents: int, *, key: str) -> None:
        if order_id == "00007":
            raise ConflictingCharge("not that one")

    monkeypatch.setattr(PaymentGateway, "charge", confuse)

    with pytest.raises(Incomplete, match=r"order-processor\.orders has a dead letter: ConflictingCharge"):
        await run_in_memory(few_orders)


async def test_orders_of_a_customer_in_the_wrong_order_are_found(few_orders: list[Order]) -> None:
    await run_in_memory(few_orders, SabotagedTransports("order-log", turn_around))

    assert any(each.startswith("orders in order of customer") for each in differences(few_orders))


@pytest.mark.parametrize(
    ("database", "statement", "named"),
    [
        ("gateway", "DELETE FROM charges", "charged for order"),
        ("gateway", "UPDATE charges SET cents = cents + 1", "charged for order"),
        ("inventory", "DELETE FROM reserved", "reserved by inventory"),
        ("inventory", "DELETE FROM released", "released by inventory"),
        ("billing", "DELETE FROM invoices", "invoiced by billing"),
        ("billing", "UPDATE closed SET paid_cents = 0", "closed by billing"),
        ("notification", "DELETE FROM about_orders", "mails about order"),
        (
            "notification",
            "INSERT INTO about_payments VALUES ('nobody', '')",
            "mails about payment nobody: 1 instead of",
        ),
        ("analytics", "UPDATE sales SET cents = cents - 1", "revenue of customer"),
        ("loyalty", "DELETE FROM points", "replayed to loyalty"),
        ("loyalty", "UPDATE rebuilt SET points = points + 1", "rebuilt by loyalty"),
    ],
)
async def test_the_audit_names_every_book_that_is_wrong(
    few_orders: list[Order], shop_data: Path, database: str, statement: str, named: str
) -> None:
    await run_in_memory(few_orders[:20] + few_orders[-2:])
    where = "" if statement.startswith("INSERT") else " WHERE rowid = 1"
    connection = sqlite3.connect(shop_data / f"{database}.db")
    with connection:
        assert connection.execute(statement + where).rowcount == 1
    connection.close()

    found = differences(few_orders[:20] + few_orders[-2:])

    assert any(each.startswith(named) for each in found)
