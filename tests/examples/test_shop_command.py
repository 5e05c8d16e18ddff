"""`python -m examples.shop` as a user meets it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from examples.shop.__main__ import app
from examples.shop.gateway import Declined, PaymentGateway

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = "order_id,customer_id,date,items,total\na,c,2024-01-01,1,1.50\nb,c,2024-01-02,1,0\n"


@pytest.fixture
def orders(tmp_path: Path) -> str:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    return str(path)


def test_it_ends_with_a_table_and_balanced_books_and_leaves_nothing(
    orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_DATA", raising=False)

    result = CliRunner().invoke(app, ["--orders", orders])

    assert result.exit_code == 0, result.output
    assert "loyalty.points" in result.stdout
    assert "The books balance. Orders: 2" in result.stdout
    assert "SHOP_DATA" not in os.environ


def test_books_that_do_not_balance_end_it_with_1_and_the_difference(
    orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(_: PaymentGateway, __: str, cents: int, *, key: str) -> None:
        """Says yes and writes nothing down."""
        if cents == 0:
            raise Declined("there is nothing to pay")

    monkeypatch.setattr(PaymentGateway, "charge", forget)

    result = CliRunner().invoke(app, ["--orders", orders])

    assert result.exit_code == 1
    assert "charged for order a: nothing instead of 150" in result.output
    assert "The books balance" not in result.output


def test_bad_orders_end_it_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS + "c,c,2024-01-03,1,much\n")

    result = CliRunner().invoke(app, ["--orders", str(path)])

    assert result.exit_code == 1
    assert "orders.csv:4: total: found 'much'" in result.output
    assert "order-processor" not in result.output


def test_a_configuration_that_can_not_be_is_told_in_words(orders: str, tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text("destinations: {order-log: {kind: quue}}\n")

    result = CliRunner().invoke(app, ["--memory", "--config", str(path), "--orders", orders])

    assert result.exit_code == 1
    assert "more.yaml:1" in result.output
