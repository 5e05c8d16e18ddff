"""A folder for the databases of the shop's services, and runs of the shop in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from busbridge import load
from busbridge.runtime import MemoryTransports
from examples.shop.demo.orders import purchases
from examples.shop.demo.run import run
from examples.shop.demo.tally import Tally

if TYPE_CHECKING:
    from busbridge.runtime import Transports
    from examples.shop.order import Order

CONFIG = Path(__file__).parents[2] / "examples" / "shop" / "busbridge.yaml"


@pytest.fixture
def shop_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_DATA", str(tmp_path / "shop-data"))
    return tmp_path / "shop-data"


@pytest.fixture(scope="session")
def few_orders() -> list[Order]:
    """Real ones: the first 200, all those that cost nothing, and several of one customer."""
    orders = purchases()
    return [*orders[:200], *(each for each in orders[200:] if each.total == 0)]


async def run_in_memory(orders: list[Order], transports: Transports | None = None, patience: float = 20) -> Tally:
    tally = Tally()
    config = load(CONFIG, environ={"SHOP_DATA": os.environ["SHOP_DATA"]})
    await run(orders, config, transports or MemoryTransports(), tally, patience=patience)
    return tally
