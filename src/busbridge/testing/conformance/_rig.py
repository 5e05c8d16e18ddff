"""What the author of a transport supplies to have it tested: clients of one broker, and faults of that broker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from busbridge.routing import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from busbridge.routing import Destination, SubscriptionPlan, TransportSettings
    from busbridge.transport import Capabilities, Headers, Transport


class Place(StrEnum):
    """What a row is run on: the kinds of destination, an ordered queue being one of its own."""

    QUEUE = "queue"
    ORDERED_QUEUE = "ordered_queue"
    TOPIC = "topic"
    STREAM = "stream"

    @property
    def kind(self) -> Kind:
        """The kind of destination."""
        return Kind.QUEUE if self is Place.ORDERED_QUEUE else Kind(self.value)

    @property
    def ordered(self) -> bool:
        """True where order per key is promised."""
        return self in (Place.ORDERED_QUEUE, Place.STREAM)

    def offered(self, capabilities: Capabilities) -> bool:
        """True if a transport of these capabilities has it."""
        return self.kind in capabilities.kinds and (self is not Place.ORDERED_QUEUE or capabilities.ordered_queues)


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message in a dead-letter place, as a client without busbridge reads it."""

    body: bytes | None
    headers: Headers


class Line(Protocol):
    """A network path to the broker. What is held goes on when it is released: a network that heals loses nothing."""

    silence: float
    """Seconds after which broker and clients have given up a session that they hear nothing of."""

    def settings(self) -> TransportSettings:
        """How a client reaches the broker on this path."""
        ...

    def hold(self, *, to_broker: bool, from_broker: bool) -> None:
        """Has nothing arrive any more in these directions, connections staying open."""
        ...

    def release(self) -> None:
        """Has everything arrive again, first what was held."""
        ...


@dataclass(frozen=True, slots=True)
class Faults:
    """What the rig can do to the broker. What is None makes the rows that need it `not offered`."""

    restart: Callable[[], Awaitable[None]] | None = None
    """Stops the broker and starts it again; returns when it serves clients. Only for a transport that survives it."""
    kill: Callable[[], Awaitable[None]] | None = None
    """Ends the broker as a power cut would, and starts it again; returns when it serves clients. Otherwise likewise."""
    line: Callable[[], AbstractAsyncContextManager[Line]] | None = None
    """A network path to the broker that can fall silent, for one row."""
    sever: Callable[[SubscriptionPlan], Awaitable[None]] | None = None
    """Makes the broker close the channels or connections that take deliveries of a subscription, clients living on."""


class Rig(Protocol):
    """One broker, as the kit uses it. Each case of a row gets names of its own and may run beside others."""

    name: str
    transport: type[Transport]
    """The class whose promises are tested."""
    faults: Faults
    patience: float
    """Seconds that anything may take before a row fails. Generous: a good transport never waits for it."""
    quiet: float
    """Seconds in which something that must not happen would happen. Used only where no event can prove its absence."""
    scale: int
    """What a row's number of messages is multiplied with."""
    too_large: int
    """Bytes of a body that is refused."""

    @property
    def capabilities(self) -> Capabilities:
        """What is promised."""
        return self.transport.capabilities

    def settings(self) -> TransportSettings:
        """How a client reaches the broker."""
        ...

    def make(self, settings: TransportSettings) -> Transport:
        """A new client, not yet open."""
        ...

    def unique(self, name: str) -> str:
        """A name that nothing on the broker has: legal for destinations, services and subscriptions."""
        ...

    async def dead_letters(self, plan: SubscriptionPlan) -> Sequence[DeadMessage]:
        """Everything in a subscription's dead-letter place now, read without busbridge where that can be."""
        ...

    async def write_foreign(self, destination: Destination, body: bytes, headers: Headers) -> None:
        """Publishes what a client without busbridge would: no key, no routing key, any bytes."""
        ...
