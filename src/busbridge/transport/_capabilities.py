"""What a transport can do, as data: the documents' table is rendered from it, the conformance kit is driven by it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """A transport's promises. A configuration that asks for what is not promised is refused at load."""

    kinds: frozenset[Kind]
    """The kinds of destination it offers."""
    ordered_queues: bool = False
    """A queue may be declared ordered: per key, one delivery at a time, in order of publishing."""
    ephemeral: bool = False
    """Destinations and subscriptions may be declared not durable."""
    header_routing: bool = False
    """A subscription of a topic may match on headers."""
    max_length: bool = False
    """A queue may be bounded; what does not fit is refused, never dropped."""
    ttl: bool = False
    """A queue's messages may expire; expired ones become dead letters."""
    compaction: bool = False
    """A stream may keep only the newest message of each key."""
    retention: bool = False
    """How long a stream keeps messages can be declared."""
    replayable: bool = False
    """A stream can be read from the past on, by a new subscription or without one: earliest, an offset, a time."""
    delays: bool = False
    """An attempt may wait at the broker for its time, in one of a few fixed tiers."""
    redrive: bool = False
    """Dead letters can be looked at, discarded, and sent again to the subscription that failed alone."""
    positions: bool = False
    """Confirmed publishes and deliveries carry a partition and an offset."""
    transactions: bool = False
    """What is published and what is settled, from streams to streams, can be one transaction: `exactly_once`."""
    survives_restart: bool = False
    """What was confirmed outlives the process that holds it."""
    reports_unroutable: bool = False
    """Publishing to a topic that nobody matches is known to the publisher."""
    default_prefetch: int = 100
    """Deliveries handed over and not settled, unless the subscription says otherwise."""
    max_prefetch: int | None = None
    """The highest prefetch that a subscription may declare."""

    def rows(self) -> Iterator[tuple[str, object]]:
        """Each capability's name and value, in the order they are declared: what the documents' table shows."""
        for each in fields(self):
            yield each.name, getattr(self, each.name)
