"""The shop's contracts: the catalog is what the code says, and what checkout said in version 1 is still understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select

from busbridge import Contract, Service
from busbridge.contract import info_of, json_schema
from busbridge.testing import harness
from examples.shop import contracts
from examples.shop.contracts.order_created import dollars_to_cents
from examples.shop.inventory import inventory, reserved, tables
from tests.examples.conftest import CONFIG

CATALOG = Path(__file__).parents[2] / "contracts" / "shop"
CURRENT: list[type[Contract]] = [getattr(contracts, name) for name in contracts.__all__]


def schema(name: str, version: int) -> dict[str, Any]:
    return json.loads((CATALOG / name / f"{version}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("contract", CURRENT)
def test_the_catalog_is_what_the_code_says(contract: type[Contract]) -> None:
    info = info_of(contract)
    assert schema(info.name, info.version) == json_schema(contract)


def test_the_catalog_holds_every_version_and_nothing_else() -> None:
    published = {(info_of(each).name, version) for each in CURRENT for version in range(1, info_of(each).version + 1)}
    assert {(path.parent.name, int(path.stem)) for path in CATALOG.glob("*/*.json")} == published


def test_a_message_of_version_1_becomes_one_of_version_2() -> None:
    first, second = schema("shop.order-created", 1), schema("shop.order-created", 2)
    (old,) = first["examples"]
    Draft202012Validator(first).validate(old)

    new = dollars_to_cents(dict(old))

    Draft202012Validator(second).validate(new)
    assert new == {"order_id": "00001", "customer_id": "00004", "items": 2, "total_cents": 2933}


@pytest.mark.parametrize(("dollars", "cents"), [("0.00", 0), ("0.07", 7), ("19.99", 1999), ("1013.30", 101330)])
def test_dollars_become_cents_to_the_cent(dollars: str, cents: int) -> None:
    assert dollars_to_cents({"total": dollars})["total_cents"] == cents


class OldOrderCreated(Contract, name="shop.order-created", version=1, key="customer_id"):
    """As checkout had it before."""

    order_id: str
    customer_id: str
    items: int
    total: str


@pytest.mark.usefixtures("shop_data")
async def test_a_checkout_that_was_not_updated_is_understood_by_those_that_were() -> None:
    (old,) = schema("shop.order-created", 1)["examples"]
    old_checkout = Service("old-checkout", publishes=[OldOrderCreated])

    async with harness(inventory, old_checkout, config=CONFIG, real_brokers=False) as bus:
        async with bus.bus("inventory").transaction() as tx:
            await tx.connection.run_sync(tables.create_all)  # a harness has a store of its own
        await bus.publish(OldOrderCreated(**old))
        await bus.settled()
        async with bus.bus("inventory").transaction() as tx:
            assert (await tx.connection.execute(select(reserved))).all() == [("00001", 2)]
