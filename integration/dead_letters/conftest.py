"""A service that fails while it is broken, on a real broker, and another that hears the same."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from busbridge import Bus, Context, Contract, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove
from integration.brokers import Kafka

PARTITIONS = 2


class Order(Contract, name="dead.order", version=1, key="order_id"):
    order_id: str


class Trouble(Exception):
    """What handlers fail with here."""


class Scene:
    """The service `stock` under a name of its own. Its dead letters are looked at beside it."""

    def __init__(self, broker, kind):
        run = uuid.uuid4().hex[:8]
        self.stock, self.other = f"stock-{run}", f"other-{run}"
        self.partitioned = kind == "stream"
        """Whether dead letters have an order only within a partition."""
        self.broken = True
        self.handled: list[tuple[str, int, str]] = []
        """Order, attempt and redrive of each call."""
        self.heard: list[str] = []
        keys = {"kind": "queue", "ordered": True, "partitions": PARTITIONS} if kind == "ordered" else {"kind": kind}
        if isinstance(broker, Kafka):
            keys |= {"partitions": PARTITIONS, "replication": 1}
        others = {} if keys["kind"] == "queue" else {self.other: {"subscriptions": {"hear": {"from": "orders"}}}}
        subscription = {"from": "orders", "retry": {"attempts": 1}, "pause": {"after": 0}}
        self.config = {
            "transports": {"broker": {"url": broker.url}},
            "destinations": {"orders": {**keys, "transport": "broker", "name": f"dead-{run}.orders"}},
            "routes": {"dead.order": {"to": "orders"}},
            "services": {self.stock: {"subscriptions": {"reserve": subscription}}, **others},
        }

    @asynccontextmanager
    async def open(self):
        """The bus of the service, the other's beside it; what they made goes with them."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(remove, load(self.config), InstalledTransports(), ["broker"])
            bus = await stack.enter_async_context(Bus(self._stock(), self.config))
            if self.other in self.config["services"]:
                await stack.enter_async_context(Bus(self._other(), self.config))
            yield bus

    def _stock(self):
        stock = Service(self.stock, publishes=[Order])

        @stock.subscription("reserve").handles(Order)
        async def reserve(order: Order, context: Context) -> None:
            self.handled.append(
                (order.order_id, context.delivery.attempt, context.headers.get("busbridge-redrive", ""))
            )
            if self.broken:
                raise Trouble(order.order_id)

        return stock

    def _other(self):
        other = Service(self.other)

        @other.subscription("hear").handles(Order)
        async def hear(order: Order) -> None:
            self.heard.append(order.order_id)

        return other

    async def die(self, bus, count):
        """Publishes so many, and waits until they are dead letters."""
        await bus.publish_many([Order(order_id=f"{number:03}") for number in range(count)])
        await until(lambda: bus.counts["reserve"].dead.total() == count)
        async with asyncio.timeout(30):
            while len(await self.ids(bus)) < count:  # noqa: ASYNC110 - brokers tell nobody
                await asyncio.sleep(0.05)

    async def ids(self, bus):
        """The orders that are dead, as the operator sees them."""
        return [letter.record.error async for letter in bus.dead_letters().read()]


async def until(condition, seconds=30.0):
    """Waits for what no event tells of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - brokers tell nobody that nothing is left
            await asyncio.sleep(0.02)


@pytest.fixture(params=["rabbitmq-queue", "rabbitmq-ordered", "rabbitmq-topic", "kafka-stream"])
def scene(request):
    broker, kind = request.param.split("-")
    return Scene(request.getfixturevalue(broker), kind)
