"""A handler that inserts a row and publishes: on every broker with every database each effect happens once."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from busbridge import Bus, Context, Service
from busbridge.retry import read_record
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove
from integration.brokers import Kafka
from integration.effects.contracts import Booked, Ordered
from integration.effects.databases import PostgreSQLDatabase, SQLiteFile

EFFECT = text("INSERT INTO effects (order_id) VALUES (:order_id)")
COUNT = 200
MESSAGES = "SELECT message_id FROM busbridge_outbox"

pytestmark = [
    pytest.mark.parametrize("broker", ["rabbitmq", "kafka"], indirect=True),
    pytest.mark.parametrize("kind", ["sqlite", "postgresql"]),
]


class Flow:
    """A shop that orders and hears what was booked, and the service in between, in one process."""

    def __init__(self, broker: Any, database: Any, **retry: Any) -> None:
        run = uuid.uuid4().hex[:8]
        stream = isinstance(broker, Kafka)
        kind = {"kind": "stream", "partitions": 2, "replication": 1} if stream else {"kind": "queue"}
        place = {**kind, "transport": "broker"}
        subscription = {"from": "orders", "concurrency": 4, "retry": retry, **({"ordered": False} if stream else {})}
        self.broker, self.database = broker, database
        self.shop, self.worker = f"shop-{run}", f"worker-{run}"
        self.booked: dict[str, set[str]] = {}
        self.attempts: Counter[str] = Counter()
        """The highest attempt of each: a call may be repeated with a batch that is begun anew, an attempt is not."""
        self.config = {
            "transports": {"broker": {"url": broker.url}},
            "destinations": {
                "orders": {**place, "name": f"flow-{run}.orders"},
                "bookings": {**place, "name": f"flow-{run}.bookings"},
            },
            "routes": {"effects.ordered": {"to": "orders"}, "effects.booked": {"to": "bookings"}},
            "services": {
                self.shop: {"subscriptions": {"audit": {"from": "bookings"}}},
                self.worker: {
                    "store": {"url": database.url, "upgrade": True},
                    "subscriptions": {"work": subscription},
                },
            },
        }

    @asynccontextmanager
    async def open(self):
        """The shop's bus, and the worker's."""
        await self.database.create()
        try:
            async with Bus(self._shop(), self.config) as shop, Bus(self._worker(), self.config) as worker:
                yield shop, worker
        finally:
            await remove(load(self.config), InstalledTransports(), ["broker"])
            await self.database.remove()

    def _shop(self) -> Service[None]:
        shop = Service(self.shop, publishes=[Ordered])

        @shop.subscription("audit").handles(Booked)
        async def audit(booked: Booked, context: Context) -> None:
            self.booked.setdefault(booked.order_id, set()).add(context.message_id)

        return shop

    def _worker(self) -> Service[None]:
        worker = Service(self.worker, publishes=[Booked])

        @worker.subscription("work").handles(Ordered)
        async def work(order: Ordered, context: Context) -> None:
            self.attempts[order.order_id] = max(self.attempts[order.order_id], context.delivery.attempt)
            await context.connection.execute(EFFECT, {"order_id": order.order_id})
            context.publish(Booked(order_id=order.order_id))
            if context.delivery.attempt <= order.failures:
                raise ValueError(order.order_id)

        return worker

    async def effects(self) -> Counter[str]:
        return Counter(await self.database.column("SELECT order_id FROM effects"))


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - brokers tell nobody that nothing is left
            await asyncio.sleep(0.02)


@pytest.fixture
def new_flow(broker, kind, postgresql, tmp_path):
    database = SQLiteFile(tmp_path / "worker.db") if kind == "sqlite" else PostgreSQLDatabase(postgresql)
    return lambda **retry: Flow(broker, database, **retry)


async def test_each_effect_happens_once_though_messages_come_twice(new_flow):
    flow = new_flow(attempts=3)
    orders = [str(number) for number in range(COUNT)]
    async with flow.open() as (shop, worker):
        copies = [*orders, *orders[::3], *orders[::5]]
        await asyncio.gather(*(shop.publish(Ordered(order_id=each), message_id=each) for each in copies))
        counts = worker.counts["work"]
        await until(lambda: counts.handled + counts.duplicate == len(copies) and len(flow.booked) == COUNT)
        assert await flow.effects() == Counter(orders)
        assert {len(ids) for ids in flow.booked.values()} == {1}
        assert (counts.handled, counts.duplicate) == (COUNT, len(copies) - COUNT)
        await worker._storing.relay.idle()
        assert await flow.database.column(MESSAGES) == []


async def test_attempts_at_once_and_by_timers_leave_one_effect_and_the_others_go_on(new_flow):
    flow = new_flow(attempts=5, immediate=2, first="50ms", max="200ms")
    async with flow.open() as (shop, worker):
        failures = {str(number): number % 5 for number in range(40)}
        await shop.publish_many(Ordered(order_id=each, failures=times) for each, times in failures.items())
        await until(lambda: len(flow.booked) == len(failures))
        assert await flow.effects() == Counter(list(failures))
        assert worker.counts["work"].dead.total() == 0
    assert flow.attempts == {each: times + 1 for each, times in failures.items()}


async def test_what_dies_by_its_timer_is_a_dead_letter_with_its_record_and_has_no_effect(new_flow):
    flow = new_flow(attempts=2, first="50ms")
    async with flow.open() as (shop, worker):
        await shop.publish(Ordered(order_id="bad", failures=9), headers={"region": "eu"})
        await shop.publish(Ordered(order_id="good"))
        await until(lambda: worker.counts["work"].dead and "good" in flow.booked)
        body, headers = await asyncio.to_thread(dead_letter, flow)
        record = read_record(body, headers)
        assert (record.reason, record.error, record.attempts) == ("failed", "bad", 2)
        assert Ordered.model_validate_json(body).order_id == "bad"
        assert "region" in dict(record.headers)
        assert await flow.effects() == {"good": 1}
        assert await flow.database.column("SELECT id FROM busbridge_timers") == []


def dead_letter(flow: Flow) -> tuple[bytes, list[tuple[str, object]]]:
    """The one that there is, read by a bare client."""
    name = f"{flow.worker}.work.dead"
    if isinstance(flow.broker, Kafka):
        consumer = flow.broker.consumer(f"{name}.reader", auto_offset_reset="earliest")
        consumer.subscribe([name])
        message = consumer.poll(30)
        consumer.close()
        return message.value(), message.headers()
    with flow.broker.connect() as connection:
        channel = connection.channel()
        for _, properties, body in channel.consume(name, auto_ack=True, inactivity_timeout=30):
            return body, list(properties.headers.items())
    raise AssertionError(name)
