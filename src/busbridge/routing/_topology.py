"""Topology as data: what must exist on a broker, computed from the configuration and given to a transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from busbridge.routing._on_failure import OnFailure
from busbridge.routing._pause_plan import PausePlan
from busbridge.routing._retry_plan import LONGEST_BLOCK, RetryPlan
from busbridge.routing._telling import Telling
from busbridge.routing._tiers import tier_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


class Kind(StrEnum):
    """What a destination is."""

    QUEUE = "queue"
    """One of many workers gets each message."""
    TOPIC = "topic"
    """Every subscription gets a copy."""
    STREAM = "stream"
    """Kept, ordered per key, read again at will."""


class Unrouted(StrEnum):
    """What publishing to a topic that no subscription matches means (T16)."""

    ERROR = "error"
    IGNORE = "ignore"


class Others(StrEnum):
    """What happens to a message of a contract that the subscription has no handler for."""

    DISCARD = "discard"
    """Counted, named `not_handled`, gone."""
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Destination:
    """A named place messages go. `physical` is its name on the broker."""

    name: str
    kind: Kind
    transport: str
    physical: str
    provision: bool = True
    """False: it exists already; it is verified, never created."""
    durable: bool = True
    """False: it and its messages may go when the broker restarts or nobody subscribes."""
    ordered: bool = False
    """Order per key is promised. Always true for a stream; on a queue it costs a fixed number of shards."""
    partitions: int | None = None
    """Of a stream, or shards of an ordered queue. Fixed at creation. None: the transport's default."""
    replication: int | None = None
    retention: timedelta | None = None
    compaction: bool = False
    max_length: int | None = None
    """Messages a queue holds; beyond it a publish is refused (`overflow`)."""
    ttl: timedelta | None = None
    """How long a queue keeps an unread message before it becomes a dead letter with reason `expired`."""
    unrouted: Unrouted | None = None
    """Of a topic. None: error while no subscription of it is provisioned, ignore after."""
    assume: str | None = None
    """`name@version`: the contract of bodies that carry no attributes."""


@dataclass(frozen=True, slots=True)
class StartAt:
    """Where a new subscription of a stream begins: `earliest`, `latest`, an offset in every partition, or a time."""

    at: str | int | datetime = "earliest"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a subscription takes from a topic: a pattern (`*` one word, `#` any number), or headers that must match."""

    pattern: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    match_all: bool = True
    """Of headers: all must be equal, or any."""


class ReplayPublish(StrEnum):
    """What becomes of what handlers publish while a stream is replayed to them (T19)."""

    REFUSE = "refuse"
    """The run stops at the first message whose handler publishes."""
    SEND = "send"
    """It is published, with ids that are the run's own."""
    DROP = "drop"
    """It is not published."""


@dataclass(frozen=True, slots=True)
class ReplayRun:
    """A stream read again by one subscription: its handlers are called once more, once for each run."""

    id: str
    publish: ReplayPublish = ReplayPublish.REFUSE


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """A named place of a service at one destination, as the broker needs to know it."""

    service: str
    name: str
    destination: Destination
    bindings: tuple[Binding, ...] = ()
    """Of a topic; no binding would take nothing."""
    concurrency: int = 1
    prefetch: int | None = None
    """Deliveries handed over and not settled, at most. None: the transport's default."""
    start: StartAt = StartAt()
    ordered: bool = False
    """Deliveries of one key are handled one after another, in order."""
    durable: bool = True
    """False: nothing is kept for it while nobody is connected."""
    others: Others = Others.DEAD_LETTER
    retry: RetryPlan = field(default_factory=RetryPlan)
    on_failure: OnFailure | None = None
    """None: there is no order to keep."""
    pause: PausePlan = field(default_factory=PausePlan)
    telling: Telling = field(default_factory=Telling)
    version: str = ""
    """Of the service, as its code says; empty where it says none."""
    exactly_once: bool = False
    """Deliveries are settled, and what their handlers publish is published, in transactions of the broker."""
    run: ReplayRun | None = None
    """The replay run that it is at work for; None: it takes what is published."""
    namespace: str = ""
    """What the physical names begin with, so that several installations share a broker."""

    @property
    def attempts(self) -> int:
        """Calls of a handler before the message is a dead letter."""
        return self.retry.attempts

    @property
    def parks(self) -> bool:
        """Whether a key may be parked in the store: where that is asked for, or its block would take too long."""
        if self.on_failure is None:
            return False
        return self.on_failure is OnFailure.PARK_KEY or self.retry.span > LONGEST_BLOCK

    @property
    def group(self) -> str:
        """The physical name shared by the replicas of a service: a queue of a topic, a consumer group of a stream."""
        return f"{self.namespace}{self.service}.{self.name}"

    @property
    def dead_letters(self) -> str:
        """The physical name of the subscription's dead-letter place."""
        return f"{self.group}.dead"

    @property
    def waiting(self) -> tuple[str, ...]:
        """The physical names of the places where attempts wait at the broker, one for each tier of `retry`."""
        return tuple(f"{self.group}.retry.{tier_name(each)}" for each in self.retry.tiers)


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything one transport must provide for a configuration: of all services, so that no copy is lost (T16)."""

    destinations: tuple[Destination, ...] = ()
    subscriptions: tuple[SubscriptionPlan, ...] = ()
