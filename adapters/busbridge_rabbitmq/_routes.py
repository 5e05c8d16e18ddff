"""From a destination to an exchange and a routing key."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, final

from busbridge.routing import Destination, Kind, Unrouted
from busbridge_rabbitmq._murmur2 import murmur2
from busbridge_rabbitmq._properties import PERSISTENT, TRANSIENT

if TYPE_CHECKING:
    from busbridge.transport import Entry

SHARDS = 8
"""Of an ordered queue that does not say how many."""
_KEYS_REMEMBERED = 10_000


def shards(destination: Destination) -> tuple[str, ...]:
    """The queues that make up an ordered queue, in the order that keys are hashed onto."""
    return tuple(f"{destination.physical}.{number}" for number in range(destination.partitions or SHARDS))


@final
class Route:
    """Where the messages of one destination go."""

    __slots__ = ("_kind", "_physical", "_shards", "bounded", "delivery_mode", "exchange", "ignores_unrouted", "name")

    def __init__(self, destination: Destination, *, has_subscriptions: bool) -> None:
        self.name = destination.name
        self.exchange = destination.physical if destination.kind is Kind.TOPIC else ""
        self.bounded = destination.max_length is not None
        self.delivery_mode: Literal[1, 2] = PERSISTENT if destination.durable else TRANSIENT
        self.ignores_unrouted = destination.kind is Kind.TOPIC and (
            has_subscriptions if destination.unrouted is None else destination.unrouted is Unrouted.IGNORE
        )
        self._kind = destination.kind
        self._physical = destination.physical
        self._shards = Shards(shards(destination)) if destination.ordered else None

    @classmethod
    def to_queue(cls, name: str) -> Route:
        """The way to a queue that is no destination: a dead-letter queue."""
        return cls(Destination(name, Kind.QUEUE, "", name), has_subscriptions=False)

    def key(self, entry: Entry) -> str:
        """The routing key of one message."""
        if self._shards is not None:
            return self._shards.of(entry.key)
        return entry.routing_key if self._kind is Kind.TOPIC else self._physical

    def queue_of(self, key: str | None) -> str:
        """The queue that the messages of a key are in; not for a topic."""
        return self._physical if self._shards is None else self._shards.of(key)


@final
class Shards:
    """Places keys: each on the shard its hash says, messages without one by turns."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._turns = itertools.cycle(names)
        self._known: dict[str, str] = {}

    def of(self, key: str | None) -> str:
        """The queue for a key."""
        if key is None:
            return next(self._turns)
        name = self._known.get(key)
        if name is None:
            if len(self._known) >= _KEYS_REMEMBERED:
                self._known.clear()
            name = self._known[key] = self._names[murmur2(key.encode()) % len(self._names)]
        return name
