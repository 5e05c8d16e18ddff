"""Where a row works: destinations, subscriptions and clients with names of their own, all put away at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from busbridge.routing import Binding, Destination, SubscriptionPlan, Topology
from busbridge.testing.conformance._message import entry_of, mark_id
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import RowFailed
from busbridge.testing.conformance._subscription import Subscription
from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import TransportSettings
    from busbridge.testing.conformance._rig import Line, Rig
    from busbridge.transport import Entry, Outcome, Transport

PARTITIONS: Final = 4
"""Of every stream and ordered queue of the kit."""
_MARKS_OF_SHARDS: Final = 12 * PARTITIONS
"""Marks that reach every shard of an ordered queue, whose hash is the transport's: all but once in 200,000 times."""


@final
class Bench:
    """One run of a row on one place."""

    def __init__(self, rig: Rig, place: Place) -> None:
        self.rig = rig
        self.place = place
        self.prefix = ""
        self.destination = self.new_destination("place")
        self.subscriptions: list[Subscription] = []
        self._service = rig.unique("service")
        self._destinations = [self.destination]
        self._clients: list[Transport] = []
        self._made: list[Topology] = []
        self._count = 0
        self._marks = 0
        self._lines: list[Line] = []
        self._ends_of_lines = AsyncExitStack()

    def new_destination(self, name: str, **changes: Any) -> Destination:
        """A destination of this place, not yet known to the broker."""
        physical = self.rig.unique(name)
        split = PARTITIONS if self.place.ordered else None
        made = Destination(name, self.place.kind, self.rig.name, physical, ordered=self.place.ordered, partitions=split)
        return replace(made, **changes)

    def new_plan(self, name: str, **changes: Any) -> SubscriptionPlan:
        """A plan for a subscription of the main destination; of a topic it takes everything."""
        everything = (Binding("#"),) if self.place is Place.TOPIC else ()
        made = SubscriptionPlan(
            self._service, name, self.destination, everything, ordered=self.place.ordered, concurrency=16
        )
        return replace(made, **changes)

    def add(self, destination: Destination) -> Destination:
        """Has the next client provision one more destination."""
        self._destinations.append(destination)
        return destination

    def subscription(self, name: str = "reader", **changes: Any) -> Subscription:
        """A subscription whose ledger is written from now on; the next client provisions it."""
        made = Subscription(self, self.new_plan(name, **changes))
        self.subscriptions.append(made)
        return made

    @property
    def topology(self) -> Topology:
        """Everything declared so far."""
        return Topology(tuple(self._destinations), tuple(each.plan for each in self.subscriptions))

    def made(self, topology: Topology) -> None:
        """Has the bench remove in the end what a row provisions by itself."""
        self._made.append(topology)

    async def line(self) -> Line:
        """A path to the broker that can fall silent; it is there until everything is put away."""
        line = self.rig.faults.line
        assert line is not None, "the row needs it"
        self._lines.append(await self._ends_of_lines.enter_async_context(line()))
        return self._lines[-1]

    async def client(self, settings: TransportSettings | None = None) -> Transport:
        """A new client, open, with everything declared so far provisioned; by these settings, or the rig's."""
        client = self.rig.make(settings or self.rig.settings())
        self._clients.append(client)
        await client.open()
        await client.provision(self.topology)
        self.prefix = client.header_prefix
        return client

    def ids(self, count: int) -> list[str]:
        """New message ids."""
        first = self._count + 1
        self._count += count
        return [f"m{number:05}" for number in range(first, first + count)]

    def entries(self, count: int, keys: int = 16, destination: Destination | None = None) -> list[Entry]:
        """New messages; keys take turns."""
        where = destination or self.destination
        return [entry_of(where, self.prefix, each, f"k{int(each[1:]) % keys}") for each in self.ids(count)]

    async def publish(self, client: Transport, count: int, *, keys: int = 16, batch: int = 50) -> None:
        """Publishes new messages to the main destination, each confirmed; raises RowFailed where one is not."""
        entries = self.entries(count, keys)
        for start in range(0, count, batch):
            for outcome in await self.send(client, entries[start : start + batch]):
                if outcome.status is not Status.CONFIRMED:
                    raise RowFailed(f"a publish that nothing speaks against ended as {outcome!r}: {outcome.error}")

    async def send(
        self, client: Transport, entries: Sequence[Entry], seconds: float | None = None
    ) -> Sequence[Outcome]:
        """Publishes entries in one call, and writes attempts and outcomes down; `seconds` if not the rig's patience."""
        ledgers = [(each.plan.destination, each.ledger) for each in self.subscriptions]
        for entry in entries:
            for destination, ledger in ledgers:
                if destination == entry.destination:
                    ledger.attempted([_id(entry)], entry.key)
        outcomes = await client.publish(entries, self.rig.patience if seconds is None else seconds)
        if len(outcomes) != len(entries):
            raise RowFailed(f"{len(entries)} entries were published, and {len(outcomes)} outcomes came back")
        for entry, outcome in zip(entries, outcomes, strict=True):
            for destination, ledger in ledgers:
                if destination == entry.destination:
                    ledger.ended(_id(entry), entry.key, outcome)
        return outcomes

    async def publish_marks(self, destination: Destination) -> set[str]:
        """Publishes messages that stand behind all others, one in every partition; returns their ids."""
        client = await self.client()
        ids: set[str] = set()
        reached: set[int] = set()
        wanted = PARTITIONS if destination.partitions else 1
        while len(reached) < wanted:
            self._marks += 1
            number = str(self._marks)
            entry = entry_of(destination, self.prefix, mark_id(number), f"mark-{number}")
            (outcome,) = await client.publish([entry], self.rig.patience)
            if outcome.status is not Status.CONFIRMED:
                raise RowFailed(f"a mark was not confirmed: {outcome.error}")
            ids.add(mark_id(number))
            if outcome.position is not None:
                reached.add(outcome.position.partition)
            elif wanted == 1 or len(ids) == _MARKS_OF_SHARDS:
                break
        await client.close()
        return ids

    async def close(self) -> None:
        """Puts everything away: workers, clients, then what they made on the broker."""
        for line in self._lines:
            line.release()  # a goodbye that nobody hears takes long
        for subscription in self.subscriptions:
            for worker in subscription.workers:
                await worker.leave()
        for client in self._clients:
            await client.close()
        await self._ends_of_lines.aclose()
        await self._remove()

    async def _remove(self) -> None:
        client = self.rig.make(self.rig.settings())
        await client.open()
        try:
            for topology in (self.topology, *self._made):
                await client.remove(topology)
        finally:
            await client.close()


def _id(entry: Entry) -> str:
    return next(str(value) for name, value in entry.headers if name in ("ce-id", "ce_id"))
