"""The broker that in-memory transports of one process share: destinations, subscriptions, dead letters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias, final

from busbridge.errors import MessageRefused, TopologyMismatch
from busbridge.memory._group import Group
from busbridge.memory._mailbox import Mailbox
from busbridge.memory._quiescence import Place, Quiescence
from busbridge.memory._source import MemorySource
from busbridge.memory._stored import Stored, refusal
from busbridge.memory._stream import Log
from busbridge.memory._topic import Topic
from busbridge.retry import PREFIX, Reason
from busbridge.routing import Kind, Unrouted
from busbridge.transport import CONFIRMED, Outcome, Position, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.memory._source import Feed
    from busbridge.routing import Destination, SubscriptionPlan, Topology
    from busbridge.transport import Entry, Headers

MAX_BYTES = 16 * 1024 * 1024
_FIXED = ("kind", "ordered", "partitions", "retention", "compaction", "max_length", "ttl")
_Holder: TypeAlias = "Mailbox | Topic | Log"


@final
class MemoryBroker:
    """Holds everything in this process, for the transports of one event loop; nothing outlives it.

    `clock` measures how long messages wait (seconds, monotonic), `now` dates a stream's messages (seconds since 1970).
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock = clock
        self._now = now
        self._max_bytes = max_bytes
        self._declared: dict[str, Destination] = {}
        self._holders: dict[str, _Holder] = {}
        self._dead: dict[str, list[Stored]] = {}
        self._quiescence = Quiescence(self._places)
        self._sources: set[MemorySource] = set()

    @property
    def outstanding(self) -> int:
        """Messages that a subscription with a live source has not settled; a topic's copies count each."""
        return self._quiescence.outstanding

    async def settled(self) -> None:
        """Waits, without polling, until nothing is outstanding: every consequence published on the way included."""
        await self._quiescence.settled()

    def dead_letters(self, plan: SubscriptionPlan) -> list[Stored]:
        """What a subscription rejected, then what expired in its queue: as it was, the record after its headers."""
        if isinstance(queue := self._holders.get(plan.destination.physical), Mailbox):
            queue.peek()
        return [*self._dead.get(plan.dead_letters, ()), *self._dead.get(f"{plan.destination.physical}.dead", ())]

    def sever(self) -> None:
        """Cuts every source's connection, as a fault: its session dies and what was unsettled is delivered again."""
        for source in list(self._sources):
            source.sever()

    def provision(self, topology: Topology) -> None:
        """Creates what is declared and is not there; raises TopologyMismatch where what is there differs."""
        for destination in topology.destinations:
            self._declare(destination)
        for plan in topology.subscriptions:
            if plan.durable and plan.destination.kind is Kind.TOPIC:
                self._mailbox_of(plan)

    def _declare(self, wanted: Destination) -> None:
        name = wanted.physical
        if (known := self._declared.get(name)) is None:
            if not wanted.provision:
                raise TopologyMismatch(f"{wanted.kind} {name!r}", ["it does not exist, and must not be created"])
            self._declared[name] = wanted
            self._holders[name] = self._holder(wanted)
        elif wanted.provision and (differences := _differences(known, wanted)):
            raise TopologyMismatch(f"{known.kind} {name!r}", differences)

    def _holder(self, destination: Destination) -> _Holder:
        match destination.kind:
            case Kind.TOPIC:
                return Topic()
            case Kind.STREAM:
                kept = destination.retention.total_seconds() if destination.retention else None
                return Log(
                    destination.physical,
                    destination.partitions,
                    self._now,
                    retention=kept,
                    compaction=destination.compaction,
                )
            case Kind.QUEUE:
                return self._queue(destination)

    def _queue(self, destination: Destination) -> Mailbox:
        place = f"{destination.physical}.dead"
        record = ((f"{PREFIX}reason", Reason.EXPIRED.value), (f"{PREFIX}destination", destination.name))
        return Mailbox(
            destination.physical,
            self._quiescence,
            self._clock,
            lambda stored: self._bury(place, stored, record),
            ordered=destination.ordered,
            max_length=destination.max_length,
            ttl=destination.ttl.total_seconds() if destination.ttl else None,
        )

    def _mailbox_of(self, plan: SubscriptionPlan) -> Mailbox:
        topic = self._holders.get(plan.destination.physical)
        if not isinstance(topic, Topic):
            raise _missing(plan)
        mailbox = topic.mailboxes.get(plan.group) or Mailbox(plan.group, self._quiescence, self._clock, _never)
        topic.bind(mailbox, plan.bindings)
        return mailbox

    def publish(self, entry: Entry) -> Outcome:
        """Keeps the entry, or says why not."""
        if refused := refusal(entry, self._max_bytes):
            return Outcome(Status.REFUSED, error=refused)
        holder = self._holders.get(entry.destination.physical)
        if isinstance(holder, Mailbox):
            return self._to_queue(holder, entry)
        if isinstance(holder, Topic):
            return self._to_topic(holder, entry)
        if holder is None:
            return _refused("no_destination", entry, "it does not exist on the broker")
        stored = Stored(entry.body, tuple(entry.headers), entry.key)
        return Outcome(Status.CONFIRMED, Position(*holder.put(stored)))

    def _to_queue(self, queue: Mailbox, entry: Entry) -> Outcome:
        if queue.full:
            return _refused("overflow", entry, "it holds as many messages as it may")
        queue.put(Stored(entry.body, tuple(entry.headers), entry.key))
        return CONFIRMED

    def _to_topic(self, topic: Topic, entry: Entry) -> Outcome:
        headers = tuple(entry.headers)
        targets = topic.targets(entry.routing_key, headers)
        for mailbox in targets:
            mailbox.put(Stored(entry.body, headers, entry.key))
        if targets or self._may_be_unrouted(topic, entry.destination):
            return CONFIRMED
        return _refused("unroutable", entry, f"no subscription takes routing key {entry.routing_key!r}")

    def _may_be_unrouted(self, topic: Topic, destination: Destination) -> bool:
        if destination.unrouted is None:
            return bool(topic.mailboxes)
        return destination.unrouted is Unrouted.IGNORE

    def subscribe(self, plan: SubscriptionPlan, prefetch: int) -> MemorySource:
        """A source of what the subscription gets from now on, shared with its other sources."""
        join = self._joiner(plan)
        source = MemorySource(plan, prefetch, join, self._left(plan))
        self._sources.add(source)
        return source

    def _joiner(self, plan: SubscriptionPlan) -> Callable[[MemorySource], Feed]:
        def bury(stored: Stored, record: Headers) -> None:
            self._bury(plan.dead_letters, stored, record)

        place = self._place(plan)
        return lambda source: place.join(source, bury)

    def _place(self, plan: SubscriptionPlan) -> Mailbox | Group:
        holder = self._holders.get(plan.destination.physical)
        match holder:
            case Topic():
                if plan.durable and plan.group not in holder.mailboxes:
                    raise _missing(plan)
                return self._mailbox_of(plan)
            case Log():
                if plan.group not in holder.groups:
                    holder.groups[plan.group] = Group(plan, holder, self._quiescence)
                return holder.groups[plan.group]
            case Mailbox():
                return holder
            case None:
                raise _missing(plan)

    def _left(self, plan: SubscriptionPlan) -> Callable[[MemorySource], None]:
        def left(source: MemorySource) -> None:
            self._sources.discard(source)
            topic = self._holders.get(plan.destination.physical)
            if isinstance(topic, Topic) and not plan.durable and not topic.mailboxes[plan.group].consumed:
                topic.unbind(plan.group)

        return left

    def _bury(self, place: str, stored: Stored, record: Headers) -> None:
        self._dead.setdefault(place, []).append(Stored(stored.body, (*stored.headers, *record), stored.key))

    def _places(self) -> list[Place]:
        places: list[Place] = []
        for holder in self._holders.values():
            match holder:
                case Mailbox():
                    places.append(holder)
                case Topic():
                    places.extend(holder.mailboxes.values())
                case Log():
                    places.extend(holder.groups.values())
        return places


def _differences(known: Destination, wanted: Destination) -> list[str]:
    pairs = ((name, getattr(known, name), getattr(wanted, name)) for name in _FIXED)
    return [f"{name} is {there}, not {asked}" for name, there, asked in pairs if there != asked]


def _missing(plan: SubscriptionPlan) -> TopologyMismatch:
    return TopologyMismatch(f"subscription {plan.group!r}", [f"{plan.destination.physical!r} was not provisioned"])


def _refused(reason: str, entry: Entry, detail: str) -> Outcome:
    return Outcome(Status.REFUSED, error=MessageRefused(reason, entry.destination.name, detail))


def _never(stored: Stored) -> None:
    raise AssertionError(stored)
