"""A harness whose services declare stores."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from busbridge import Context, Contract, MessageRefused, Service
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


class Noticed(Contract, name="shop.noticed", version=1, key="order_id"):
    order_id: str


def noticing(topic: str):
    """A service that publishes to a topic, which nobody listens to."""
    service = Service("shop", publishes=[Noticed])

    @service.subscription("work").handles(Sold)
    async def work(order: Sold, context: Context) -> None:
        context.publish(Noticed(order_id=order.order_id))

    settings = config()
    settings["destinations"][topic] = {"kind": "topic", "transport": "broker"}
    settings["routes"]["shop.noticed"] = {"to": topic}
    return service, settings


async def test_what_a_broker_refuses_of_an_outbox_is_raised_when_all_is_settled():
    service, settings = noticing("news")
    async with harness(service, config=settings) as bus:
        await bus.publish(Sold(order_id="1"))
        with pytest.raises(MessageRefused, match="no subscription"):
            await bus.settled()


async def test_what_stays_in_an_outbox_is_listed():
    service, settings = noticing("news")
    async with harness(service, config=settings, raise_failures=False) as bus:
        await bus.publish(Sold(order_id="1"))
        await bus.settled()
        (parked,) = bus.parked
        assert parked.destination == "news"
        assert isinstance(parked.error, MessageRefused)
        assert bus.dead == []


async def test_a_message_that_comes_twice_is_settled_by_its_duplicate():
    async def handle(_: Sold) -> None: ...

    async with harness(selling(handle), config=config()) as bus:
        await bus.redeliver(await bus.publish(Sold(order_id="1")))
        await bus.settled()
        assert bus.bus("shop").counts["work"].duplicate == 1
