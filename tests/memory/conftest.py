"""A broker whose clocks stand still, and what is built on it."""

from __future__ import annotations

import pytest

from busbridge.memory import MemoryBroker, MemoryTransport
from busbridge.routing import Binding, Destination, Kind, SubscriptionPlan, Topology, TransportSettings
from busbridge.transport import Entry

HEADERS = (("content-type", "application/json"), ("ce-id", "1"))


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class Shop:
    """One destination of each kind, by name, with plans for them."""

    def __init__(self):
        self.clock = Clock()
        self.broker = MemoryBroker(clock=self.clock, now=self.clock)
        self.transport = self.client()

    def client(self):
        return MemoryTransport(TransportSettings("memory", "memory://"), self.broker)

    def place(self, kind, name="place", **changes):
        return Destination(name, Kind(kind), "memory", name, **changes)

    def plan(self, destination, name="reader", **changes):
        bindings = (Binding("#"),) if destination.kind is Kind.TOPIC else ()
        return SubscriptionPlan("shop", name, destination, **({"bindings": bindings} | changes))

    async def provision(self, *parts):
        destinations = {each.name: each for each in parts if isinstance(each, Destination)}
        plans = [each for each in parts if isinstance(each, SubscriptionPlan)]
        destinations |= {each.destination.name: each.destination for each in plans}
        await self.transport.provision(Topology(tuple(destinations.values()), tuple(plans)))

    async def subscribed(self, plan):
        await self.provision(plan)
        return await self.transport.subscribe(plan)

    async def publish(self, destination, *bodies, key=None, routing_key="", headers=HEADERS):
        entries = [Entry(destination, body, headers, key, routing_key) for body in bodies]
        return await self.transport.publish(entries, 1.0)


@pytest.fixture
def shop():
    return Shop()
