"""What buses provisioned for a configuration is put away again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from busbridge import Bus, Contract, Service, load
from busbridge.errors import TopologyMismatch, Unavailable
from busbridge.routing import Topology
from busbridge.runtime import MemoryTransports, remove


class Sold(Contract, name="removal.sold", version=1):
    order_id: str


@pytest.fixture
def config():
    return load(
        {
            "transports": {"one": {"url": "memory://"}, "two": {"url": "memory://"}},
            "destinations": {
                "orders": {"kind": "queue", "transport": "one"},
                "log": {"kind": "stream", "transport": "two"},
            },
            "routes": {"removal.sold": {"to": ["orders", "log"]}},
        },
        environ={},
    )


async def provisioned(config):
    transports = MemoryTransports()
    async with Bus(Service("shop", publishes=[Sold]), config, transports=transports):
        return transports


def exists(transports, destination):
    try:
        transports.brokers[destination.transport].provision(Topology((replace(destination, provision=False),)))
    except TopologyMismatch:
        return False
    return True


async def test_what_was_provisioned_on_the_transports_named_is_gone(config):
    transports = await provisioned(config)
    orders, log = config.destinations["orders"], config.destinations["log"]
    assert exists(transports, orders)

    await remove(config, transports, ["one"])

    assert not exists(transports, orders)
    assert exists(transports, log)


@pytest.mark.parametrize("broken", ["one", "two"])
async def test_a_broker_that_is_down_keeps_nothing_on_the_others(config, broken):
    transports = await provisioned(config)
    made, opened = transports.make, []

    def make(settings):
        transport = made(settings)
        if settings.name == broken:
            transport.open = lambda: unavailable(settings)
        return transport

    async def unavailable(settings):
        opened.append(settings.patience)
        raise Unavailable("one", settings.patience, "down")

    transports.make = make
    with pytest.raises(Unavailable):
        await remove(config, transports, config.transports)

    assert opened[0] < config.transports[broken].patience
    kept = [name for name, each in config.destinations.items() if exists(transports, each)]
    assert [config.destinations[name].transport for name in kept] == [broken]
