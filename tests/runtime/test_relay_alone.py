"""The outbox published by processes that do nothing else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from busbridge import Bus, ConfigurationError, Contract, Service
from busbridge.runtime import MemoryTransports, relay
from tests.store.helpers import until


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


@asynccontextmanager
async def no_resources():
    raise AssertionError("a relay calls no handler, and needs nothing that is made for them")
    yield


@pytest.fixture
def config(tmp_path):
    return {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"orders": {"kind": "queue", "transport": "broker"}},
        "routes": {"shop.placed": {"to": "orders"}},
        "services": {
            "shop": {
                "store": {"url": f"sqlite:///{tmp_path / 'shop.db'}"},
                "subscriptions": {"work": {"from": "orders"}},
            }
        },
    }


def shop(lifespan=None):
    service = Service("shop", publishes=[Placed]) if lifespan is None else Service("shop", lifespan=lifespan)
    handled = []

    @service.subscription("work").handles(Placed)
    async def work(order):
        handled.append(order.order_id)

    return service, handled


@asynccontextmanager
async def relaying(service, config, transports):
    stop = asyncio.Event()
    running = asyncio.create_task(relay([service], config, transports=transports, stop=stop))
    yield
    stop.set()
    await running


async def pending(bus):
    return (await bus._storing.store.waiting()).pending


async def test_a_bus_without_a_relay_leaves_its_outbox_to_one_that_runs_alone(config):
    (service, handled), transports = shop(), MemoryTransports()
    async with Bus(service, config, relay=False, transports=transports) as bus:
        async with bus.transaction() as tx:
            tx.publish(Placed(order_id="now"))
            tx.publish(Placed(order_id="later"), delay=0)
        assert (await pending(bus), len(await bus.scheduled())) == (1, 1)
        async with relaying(service, config, transports):

            async def all_handled():
                return sorted(handled) == ["later", "now"]

            await until(all_handled)


async def test_a_relay_alone_takes_no_subscription_and_makes_no_resources(config):
    (publisher, handled), transports = shop(), MemoryTransports()
    other, untouched = shop(no_resources)
    async with Bus(publisher, config, consume=False, relay=False, transports=transports) as bus:
        async with bus.transaction() as tx:
            tx.publish(Placed(order_id="1"))
        async with relaying(other, config, transports):

            async def published():
                return not await pending(bus)

            await until(published)
    assert handled == untouched == []


async def test_several_relays_publish_each_message_once(config):
    (service, handled), transports = shop(), MemoryTransports()
    async with (
        Bus(service, config, relay=False, transports=transports) as bus,
        relaying(service, config, transports),
        relaying(service, config, transports),
    ):
        async with bus.transaction() as tx:
            names = [str(number) for number in range(100)]
            for each in names:
                tx.publish(Placed(order_id=each))

        async def all_handled():
            return len(handled) >= len(names)

        await until(all_handled)
        assert sorted(handled) == sorted(names)
        assert bus.counts["work"].duplicate == 0


async def test_a_service_without_a_store_has_nothing_to_relay(config):
    del config["services"]["shop"]["store"]
    with pytest.raises(ConfigurationError, match=r"has no store, and so no outbox(.|\n)*add services\.shop\.store"):
        await relay([shop()[0]], config, transports=MemoryTransports())
