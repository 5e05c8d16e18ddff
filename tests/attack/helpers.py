"""A service at work on an in-memory broker that a foreign producer writes to as it likes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from busbridge import Bus, Service, load
from busbridge.runtime import MemoryTransports
from busbridge.testing._ledger import Ledger
from busbridge.transport import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ENVELOPE = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "elsewhere",
    "ce-type": "shop.placed",
    "ce-dataschema": "busbridge:contracts/shop.placed/1",
}
BODY = b'{"order_id": "7"}'


class Bench:
    """An open service whose subscription `reserve` takes from the queue `orders`."""

    def __init__(self, bus: Bus[Any], foreign: Any, queue: Any, ledger: Ledger) -> None:
        self.bus = bus
        self._foreign = foreign
        self._queue = queue
        self._ledger = ledger
        self._ended = 0
        self.dead = ledger.dead

    @property
    def counts(self):
        return self.bus.counts["reserve"]

    async def deliver(self, headers, body=BODY) -> None:
        """Returns when the delivery has ended."""
        self._ended += 1
        await self._foreign.publish([Entry(self._queue, body, headers)], 5)
        while self.counts.handled + self.counts.dead.total() + self.counts.discarded.total() < self._ended:
            self._ledger.changed.clear()
            await self._ledger.changed.wait()

    async def ended(self) -> None:
        """Waits until a delivery has ended, whichever way."""
        self._ledger.changed.clear()
        await self._ledger.changed.wait()


@asynccontextmanager
async def at_work(service: Service[Any], config: dict[str, Any]) -> AsyncIterator[Bench]:
    loaded, transports = load(config), MemoryTransports()
    ledger = Ledger(loaded.subscriptions())
    async with Bus(service, loaded, transports=transports, observer=ledger) as bus:
        queue = loaded.destinations["orders"]
        yield Bench(bus, transports.make(loaded.transports[queue.transport]), queue, ledger)
