"""RabbitMQ as busbridge sees it: queues and topics, confirmed publishing, settled deliveries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, final

from busbridge.errors import ClosedError, MessageRefused
from busbridge.routing import Kind
from busbridge.transport import Capabilities, Outcome, Status
from busbridge_rabbitmq import _options, _topology
from busbridge_rabbitmq._batch import Batch, Item
from busbridge_rabbitmq._connection import Link, patiently
from busbridge_rabbitmq._copies import Copies
from busbridge_rabbitmq._dead_letters import DeadLetters
from busbridge_rabbitmq._delivery import RabbitDelivery
from busbridge_rabbitmq._graves import RabbitDeadLetters
from busbridge_rabbitmq._ordered import OrderedSource
from busbridge_rabbitmq._properties import MESSAGE_ID, outgoing
from busbridge_rabbitmq._provision import Provisioner
from busbridge_rabbitmq._publisher import Publisher
from busbridge_rabbitmq._removal import Remover
from busbridge_rabbitmq._returns import Returns
from busbridge_rabbitmq._routes import Route, shards
from busbridge_rabbitmq._source import QueueSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from busbridge.errors import Fault
    from busbridge.routing import Destination, SubscriptionPlan, Topology, TransportSettings
    from busbridge.transport import Entry, Source


@final
class RabbitMQTransport:
    """Publishing and consuming have a connection each: a broker that is out of memory blocks only the first."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        kinds=frozenset({Kind.QUEUE, Kind.TOPIC}),
        ordered_queues=True,
        ephemeral=True,
        header_routing=True,
        max_length=True,
        ttl=True,
        delays=True,
        redrive=True,
        survives_restart=True,
        reports_unroutable=True,
        default_prefetch=200,
        max_prefetch=2000,  # what a quorum queue gives a consumer at most
    )
    system: ClassVar[str] = "rabbitmq"
    header_prefix: ClassVar[str] = "ce-"

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._options = _options.Options.of(settings)
        self._out = Link(settings, self._options, "publishing")
        self._in = Link(settings, self._options, "consuming")
        self._publisher = Publisher(self._out, self._options)
        self._provisioner = Provisioner(self._in)
        self._remover = Remover(self._in)
        self._routes: dict[str, Route] = {}
        self._subscribed: set[str] = set()
        self._sources: list[Source] = []
        self._unnamed = 0
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def check(cls, settings: TransportSettings) -> Iterable[Fault]:
        """As the protocol says."""
        return _options.faults(settings)

    async def open(self) -> None:
        """As the protocol says."""
        self._refuse_when_closed()
        try:
            await self._in.open(self._settings.patience)
            await self._out.open(self._settings.patience)
        except BaseException:
            await self._in.close()
            raise
        self._publisher.begin()

    async def provision(self, topology: Topology) -> None:
        """As the protocol says."""
        self._refuse_when_closed()
        wanted = list(_topology.declarations(topology))
        await patiently(lambda: self._provisioner.apply(wanted), self._in.broker, self._settings.patience)
        self._subscribed.update(plan.destination.name for plan in topology.subscriptions)
        self._routes.clear()

    async def remove(self, topology: Topology) -> None:
        """As the protocol says."""
        self._refuse_when_closed()
        await patiently(lambda: self._remover.remove(topology), self._in.broker, self._settings.patience)
        self._subscribed.difference_update(plan.destination.name for plan in topology.subscriptions)
        self._routes.clear()

    async def publish(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:
        """As the protocol says."""
        self._refuse_when_closed()
        names = [entry.destination.name for entry in entries]
        batch = Batch(names, asyncio.get_running_loop().create_future())
        return await self._publisher.publish(batch, self._items(batch, entries), seconds)

    def _items(self, batch: Batch, entries: Sequence[Entry]) -> Iterator[Item]:
        most = self._options.max_message_size
        for index, entry in enumerate(entries):
            route = self._routes.get(entry.destination.name) or self._route(entry.destination)
            body = entry.body or b""
            if len(body) > most:
                batch.settle(index, _too_large(route.name, len(body), most))
                continue
            properties = outgoing(entry.headers, route.delivery_mode)
            if MESSAGE_ID not in (properties.headers or ()):
                self._unnamed += 1
                properties.message_id = f"busbridge-{self._unnamed}"  # a returned message is known by its id
            yield Item(batch, index, route, route.key(entry), properties, body)

    def _route(self, destination: Destination) -> Route:
        made = Route(destination, has_subscriptions=destination.name in self._subscribed)
        self._routes[destination.name] = made
        return made

    async def subscribe(self, plan: SubscriptionPlan) -> Source:
        """As the protocol says."""
        self._refuse_when_closed()

        async def ensure() -> None:
            await self._provisioner.apply(_topology.for_subscription(plan))

        if not plan.durable:
            await ensure()
        copies = self._copies(plan, ensure)
        prefetch = plan.prefetch or self.capabilities.default_prefetch
        if plan.destination.ordered:
            return await self._ordered(plan.destination, prefetch, copies, ensure)
        make = Returns(plan.waiting).delivery if plan.waiting else RabbitDelivery
        source = QueueSource(_topology.queue_of(plan), prefetch, self._in, copies, ensure, self._options, make)
        await source.begin(self._settings.patience)
        self._sources.append(source)
        return source

    async def returning(self, plan: SubscriptionPlan) -> Sequence[Source]:  # noqa: ARG002 - they come by its own source
        """As `Delaying.returning`: the broker moves what has waited to the queue that the subscription reads."""
        self._refuse_when_closed()
        return ()

    def _copies(self, plan: SubscriptionPlan, ensure: Callable[[], Awaitable[None]]) -> Copies:
        dead, *tiers = (
            DeadLetters(Route.to_queue(name), self._publisher, ensure) for name in (plan.dead_letters, *plan.waiting)
        )
        return Copies(dead, tiers)

    async def _ordered(
        self, queue: Destination, prefetch: int, copies: Copies, ensure: Callable[[], Awaitable[None]]
    ) -> Source:
        link = Link(self._settings, self._options, f"consuming {queue.physical}")
        name = queue.physical
        source = OrderedSource(name, shards(queue), prefetch, link, copies, ensure, self._options)
        await source.begin(self._settings.patience)
        self._sources.append(source)
        return source

    async def dead_letters(self, plan: SubscriptionPlan) -> RabbitDeadLetters:
        """As `Redrivable.dead_letters`."""
        self._refuse_when_closed()
        place = RabbitDeadLetters(plan, self._in, self._publisher)
        await place.open()
        return place

    async def redriven(self, plan: SubscriptionPlan) -> None:  # its own source brings all of it
        """As `Redrivable.redriven`."""

    async def close(self) -> None:
        """As the protocol says."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="busbridge closing RabbitMQ")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await asyncio.gather(*(source.close() for source in self._sources))
        await self._publisher.close()
        await asyncio.gather(self._in.close(), self._out.close())

    def _refuse_when_closed(self) -> None:
        if self._closing is not None:
            raise ClosedError(f"the transport {self._settings.name!r}")

    def __repr__(self) -> str:
        return f"<RabbitMQTransport {self._settings.name!r}, {len(self._sources)} sources, {self._publisher!r}>"


def _too_large(name: str, size: int, most: int) -> Outcome:
    error = MessageRefused("too_large", name, f"{size} bytes, and max_message_size is {most}")
    return Outcome(Status.REFUSED, error=error)
