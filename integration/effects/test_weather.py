"""Bad weather: a broker that takes nothing, or slowly, and a database that goes, while messages go on coming.

What waits stays bounded, in the process and in the database, and all goes on by itself.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from busbridge import Bus, Context, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove
from busbridge.runtime.effects import _outbox_gate
from integration.brokers import Kafka
from integration.effects.contracts import Booked, Ordered
from integration.effects.databases import PostgreSQLDatabase, SQLiteFile
from integration.effects.inputs import PARTITIONS
from integration.effects.saboteurs import outbox_without_bound
from integration.rabbitmq.proxy import proxy_to

COUNT = 400
LIMIT = 50
PREFETCH = 40
EFFECT = text("INSERT INTO effects (order_id) VALUES (:order_id)")
EVERYWHERE = pytest.mark.parametrize(
    ("broker", "kind"), [("rabbitmq", "sqlite"), ("kafka", "postgresql")], indirect=["broker"]
)

KAFKA = pytest.mark.parametrize(("broker", "kind"), [("kafka", "postgresql")], indirect=["broker"])


class Weather:
    """Orders come from `broker`; bookings go to RabbitMQ through a proxy."""

    def __init__(self, broker, rabbitmq, database):
        own = uuid.uuid4().hex[:8]
        stream = isinstance(broker, Kafka)
        kind = {"kind": "stream", "partitions": PARTITIONS, "replication": 1} if stream else {"kind": "queue"}
        self.name, self.database = f"worker-{own}", database
        self._rabbitmq = rabbitmq
        self.config = {
            "transports": {"in": {"url": broker.url}, "straight": {"url": rabbitmq.url}},
            "destinations": {
                "orders": {**kind, "transport": "in", "name": f"weather-{own}.orders"},
                "bookings": {"kind": "queue", "transport": "out", "name": f"weather-{own}.bookings"},
                "booked": {"kind": "queue", "transport": "straight", "name": f"weather-{own}.bookings"},
            },
            "routes": {"effects.ordered": {"to": "orders"}, "effects.booked": {"to": "bookings"}},
            "services": {
                self.name: {
                    "store": {"url": database.url, "upgrade": True, "batch": 5, "outbox_limit": LIMIT},
                    "subscriptions": {"work": {"from": "orders", "prefetch": PREFETCH, "concurrency": 2}},
                },
                f"audit-{own}": {"subscriptions": {"see": {"from": "booked"}}},
            },
            "publish": {"timeout": "2s"},
            "stop": {"grace": "20s"},
        }
        self.told = defaultdict(set)
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        async with AsyncExitStack() as stack:
            self.proxy = await stack.enter_async_context(proxy_to(self._rabbitmq))
            through = self._rabbitmq.url.replace(f":{self._rabbitmq.port}", f":{self.proxy.port}")
            self.config["transports"]["out"] = {"url": through}
            await self.database.create()
            stack.push_async_callback(self.database.remove)
            stack.push_async_callback(remove, load(self.config), InstalledTransports(), ["in", "straight"])
            audit = Service(next(name for name in self.config["services"] if name != self.name), publishes=[Ordered])
            audit.subscription("see").handles(Booked)(self._see)
            self._audit = await stack.enter_async_context(Bus(audit, self.config))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception):
        await self._stack.__aexit__(*exception)

    async def _see(self, booked: Booked, context: Context) -> None:
        self.told[booked.order_id].add(context.message_id)

    def worker(self, **options):
        service = Service(self.name, publishes=[Booked])

        @service.subscription("work").handles(Ordered)
        async def work(order: Ordered, context: Context) -> None:
            await context.connection.execute(EFFECT, {"order_id": order.order_id})
            context.publish(Booked(order_id=order.order_id))
            await asyncio.sleep(order.seconds)

        return Bus(service, self.config, **options)

    async def publish(self, seconds=0.0):
        await self._audit.publish_many(Ordered(order_id=f"{number:03}", seconds=seconds) for number in range(COUNT))

    async def rows(self):
        return len(await self.database.column("SELECT id FROM busbridge_outbox"))

    async def all_booked(self, bounded=COUNT):
        """Returns once all are; raises AssertionError where more than `bounded` wait at any time."""
        async with asyncio.timeout(40):
            while len(self.told) < COUNT:
                assert await self.rows() <= bounded
                await asyncio.sleep(0.05)
        effects = sorted(await self.database.column("SELECT order_id FROM effects"))
        assert effects == sorted(self.told) == [f"{number:03}" for number in range(COUNT)], "each once"
        assert {len(ids) for ids in self.told.values()} == {1}, "under one id each"


@pytest.fixture
def weather(broker, kind, rabbitmq, postgresql, tmp_path, monkeypatch):
    """To be entered."""
    monkeypatch.setattr(_outbox_gate, "_EVERY", 0.1)
    database = SQLiteFile(tmp_path / "worker.db") if kind == "sqlite" else PostgreSQLDatabase(postgresql)
    return Weather(broker, rabbitmq, database)


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def stays_bounded(weather, bus):
    """The attack: more to do than may wait, for a broker that is away."""
    weather.proxy.deaf = True
    weather.proxy.cut()
    counts = bus.counts["work"]
    await weather.publish()
    await until(lambda: counts.outbox_full or counts.handled == COUNT)
    await asyncio.sleep(0.5)
    assert counts.handled <= 2 * LIMIT
    assert await weather.rows() == counts.handled
    assert len(bus._workers["work"]._lanes._lanes[0].line) <= PREFETCH  # all that the process holds, in both lanes


@EVERYWHERE
async def test_a_broker_that_is_away_holds_handlers_up_and_all_goes_on_once_it_is_back(weather):
    async with weather, weather.worker() as bus:
        await stays_bounded(weather, bus)
        weather.proxy.deaf = False
        weather.proxy.cut()
        await weather.all_booked()
        await until(lambda: not bus.counts["work"].outbox_full)


@KAFKA
async def test_a_slow_broker_slows_handlers_down(weather):
    async with weather, weather.worker():
        weather.proxy.slow = 0.1
        await weather.publish()
        await weather.all_booked(bounded=2 * LIMIT)


@KAFKA
async def test_a_stop_while_the_outbox_is_full_is_quick_and_loses_nothing(weather):
    async with weather:
        async with weather.worker(relay=False) as bus:
            await weather.publish()
            await until(lambda: bus.counts["work"].outbox_full)
            begin = time.monotonic()
        assert time.monotonic() - begin < 10, "the grace is 20 s"
        async with weather.worker():
            await weather.all_booked()


@pytest.mark.parametrize(("broker", "kind"), [("rabbitmq", "sqlite")], indirect=["broker"])
async def test_an_outbox_without_a_bound_is_noticed(weather):
    with outbox_without_bound():
        async with weather, weather.worker() as bus:
            with pytest.raises(AssertionError):
                await stays_bounded(weather, bus)


@pytest.mark.faults
@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", ["rabbitmq", "kafka"], indirect=True)
async def test_a_database_that_goes_is_waited_for_and_all_goes_on_once_it_is_back(broker, rabbitmq, new_postgresql):
    """Killed in the middle of transactions, with deliveries held, and away for a while."""
    server = new_postgresql()
    async with Weather(broker, rabbitmq, PostgreSQLDatabase(server)) as weather:
        async with weather.worker() as bus:
            counts = bus.counts["work"]
            await weather.publish(seconds=0.005)
            await until(lambda: counts.handled > 20)
            await asyncio.to_thread(server.kill)
            handled = counts.handled
            await asyncio.sleep(1)
            assert counts.handled <= handled + 2 * 5, "what was committed, and not settled yet"
            await asyncio.to_thread(server.start)
            await weather.all_booked()
            assert counts.dead.total() == counts.repeated == 0
