"""The in-memory transport: the protocol over a broker in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final, final
from weakref import WeakSet

from busbridge.errors import ClosedError, Fault, Location
from busbridge.memory._broker import MemoryBroker
from busbridge.memory._dead_letters import MemoryDeadLetters
from busbridge.memory._transactional import MemoryTransactionalSource
from busbridge.routing import Kind
from busbridge.transport import Capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busbridge.memory._history import MemoryHistory
    from busbridge.memory._source import MemorySource
    from busbridge.routing import Destination, StartAt, SubscriptionPlan, Topology, TransportSettings
    from busbridge.transport import Entry, Outcome, Part, Until

_TURN: Final = 256
"""Entries published between two turns of the event loop, so that a publisher that never waits starves nobody."""


@final
class MemoryTransport:
    """A transport over `broker`, or over one of its own. Transports that share a broker see each other's messages."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        kinds=frozenset(Kind),
        ordered_queues=True,
        ephemeral=True,
        header_routing=True,
        max_length=True,
        ttl=True,
        compaction=True,
        retention=True,
        replayable=True,
        delays=True,
        redrive=True,
        positions=True,
        transactions=True,
        survives_restart=False,
        reports_unroutable=True,
    )
    system: ClassVar[str] = "memory"
    header_prefix: ClassVar[str] = "ce-"

    def __init__(self, settings: TransportSettings, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()
        self._name = settings.name
        self._sources: list[MemorySource] = []
        self._histories: WeakSet[MemoryHistory] = WeakSet()
        self._since_turn = 0
        self._closed = False

    @classmethod
    def check(cls, settings: TransportSettings) -> Iterable[Fault]:
        """As `Transport.check`: there is no client that could take settings."""
        for name in settings.client:
            yield Fault(f"the memory transport has no client setting {name!r}", Location(("client", name)))

    async def open(self) -> None:
        """As `Transport.open`: there is nothing to wait for."""

    async def provision(self, topology: Topology) -> None:
        """As `Transport.provision`."""
        self._check_open()
        self.broker.provision(topology)

    async def remove(self, topology: Topology) -> None:
        """As `Transport.remove`."""
        self._check_open()
        self.broker.remove(topology)

    async def publish(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:  # noqa: ARG002 - at once
        """As `Transport.publish`. Every outcome is known at once; none is ever unknown."""
        self._check_open()
        publish = self.broker.publish
        outcomes = [publish(entry) for entry in entries]
        self._since_turn += len(entries)
        if self._since_turn >= _TURN:  # after the entries are in: a call that yields before could be overtaken
            self._since_turn = 0
            await asyncio.sleep(0)
        return outcomes

    async def subscribe(self, plan: SubscriptionPlan) -> MemorySource:
        """As `Transport.subscribe`."""
        self._check_open()
        source = self.broker.subscribe(plan, plan.prefetch or self.capabilities.default_prefetch)
        self._sources.append(source)
        return source

    async def returning(self, plan: SubscriptionPlan) -> list[MemorySource]:
        """As `Delaying.returning`."""
        self._check_open()
        sources = self.broker.returning(plan, plan.prefetch or self.capabilities.default_prefetch)
        self._sources += sources
        return sources

    async def subscribe_transactional(self, plan: SubscriptionPlan) -> MemoryTransactionalSource:
        """As `Transactional.subscribe_transactional`."""
        return MemoryTransactionalSource(await self.subscribe(plan), self.broker)

    async def redriven_transactional(self, plan: SubscriptionPlan) -> MemoryTransactionalSource:
        """As `Transactional.redriven_transactional`."""
        source = await self.redriven(plan)
        assert source is not None  # of a stream there is one
        return MemoryTransactionalSource(source, self.broker)

    async def read(self, destination: Destination, start: StartAt, until: Until) -> MemoryHistory:
        """As `Replayable.read`."""
        self._check_open()
        return self._kept(self.broker.read(destination, start, until))

    async def read_parts(self, destination: Destination, parts: Mapping[int, Part]) -> MemoryHistory:
        """As `Replayable.read_parts`."""
        self._check_open()
        return self._kept(self.broker.read_parts(destination, parts))

    def _kept(self, history: MemoryHistory) -> MemoryHistory:
        self._histories.add(history)
        return history

    async def dead_letters(self, plan: SubscriptionPlan) -> MemoryDeadLetters:
        """As `Redrivable.dead_letters`."""
        self._check_open()
        return MemoryDeadLetters(self.broker, plan)

    async def redriven(self, plan: SubscriptionPlan) -> MemorySource | None:
        """As `Redrivable.redriven`: a stream can't take a message for one of its groups."""
        self._check_open()
        if plan.destination.kind is not Kind.STREAM:
            return None
        source = self.broker.redriven(plan, plan.prefetch or self.capabilities.default_prefetch)
        self._sources.append(source)
        return source

    async def close(self) -> None:
        """As `Transport.close`."""
        self._closed = True
        for history in list(self._histories):
            await history.close()
        while self._sources:
            await self._sources.pop().close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(repr(self))

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<MemoryTransport {self._name!r}, {state}, {len(self._sources)} sources>"
