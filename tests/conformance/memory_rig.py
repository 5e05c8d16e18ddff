"""The rig of the in-memory transport: its broker is this process."""

from __future__ import annotations

from itertools import count

from busbridge.memory import MemoryBroker, MemoryTransport
from busbridge.routing import TransportSettings
from busbridge.testing.conformance import DeadMessage, Faults
from busbridge.transport import Entry


class MemoryRig:
    name = "memory"
    transport = MemoryTransport
    capabilities = MemoryTransport.capabilities
    quiet = 0.02
    scale = 1
    too_large = 16 * 1024 * 1024 + 1

    def __init__(self, patience=10.0):
        self.patience = patience
        self.broker = MemoryBroker()
        self.faults = Faults(sever=self._sever)
        self._names = count(1)

    def settings(self):
        return TransportSettings("memory", "memory://")

    def make(self, settings):
        return MemoryTransport(settings, self.broker)

    def unique(self, name):
        return f"{name}-{next(self._names)}"

    async def dead_letters(self, plan):
        return [DeadMessage(each.body, each.headers) for each in self.broker.dead_letters(plan)]

    async def write_foreign(self, destination, body, headers):
        self.broker.publish(Entry(destination, body, headers, routing_key="foreign"))

    async def _sever(self, plan):
        self.broker.sever()
