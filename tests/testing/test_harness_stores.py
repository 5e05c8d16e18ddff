"""A harness whose services declare stores."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from busbridge import Context, Contract, Service
from busbridge.testing import NotSettled, harness


class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str


def selling(handle) -> Service[None]:
    service = Service("shop")
    service.subscription("work").handles(Sold, name="work")(handle)
    return service


def config(**retry: object):
    return {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"orders": {"kind": "queue", "transport": "broker"}},
        "routes": {"shop.sold": {"to": "orders"}},
        "services": {
            "shop": {
                "store": {"url": "postgresql://nobody:nothing@nowhere.invalid/none"},
                "subscriptions": {"work": {"from": "orders", "retry": retry}},
            }
        },
    }


async def test_each_harness_has_an_empty_store_whatever_the_url_says():
    async def handle(order: Sold, context: Context) -> None:
        await context.connection.execute(text("CREATE TABLE sold (order_id text)"))

    for _ in range(2):  # the table would be there already
        async with harness(selling(handle), config=config()) as bus:
            await bus.publish(Sold(order_id="1"), message_id="the same")
            await bus.settled()
            assert bus.bus("shop").counts["work"].handled == 1


async def test_a_message_that_waits_for_its_next_attempt_is_outstanding():
    attempts = []

    async def handle(order: Sold, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        if len(attempts) == 1:
            raise RuntimeError

    async with harness(selling(handle), config=config(attempts=2, first="300ms", backoff="fixed")) as bus:
        await bus.publish(Sold(order_id="1"))
        with pytest.raises(NotSettled):
            await bus.settled(seconds=0.1)
        await bus.settled()
    assert attempts == [1, 2]


async def test_a_message_that_comes_twice_is_settled_by_its_duplicate():
    async def handle(_: Sold) -> None: ...

    async with harness(selling(handle), config=config()) as bus:
        await bus.redeliver(await bus.publish(Sold(order_id="1")))
        await bus.settled()
        assert bus.bus("shop").counts["work"].duplicate == 1
