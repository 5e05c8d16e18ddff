"""The broker that in-memory transports of one process share: what goes in, what comes out, what is dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import MessageRefused, TopologyMismatch
from busbridge.memory._destinations import Destinations, expired_of
from busbridge.memory._history import MemoryHistory, parts_of
from busbridge.memory._mailbox import Mailbox
from busbridge.memory._source import MemorySource
from busbridge.memory._stored import Stored, refusal
from busbridge.memory._stream import Log
from busbridge.memory._topic import Topic
from busbridge.routing import Kind, Unrouted
from busbridge.transport import CONFIRMED, Outcome, Position, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from busbridge.memory._group import Group
    from busbridge.routing import Destination, StartAt, SubscriptionPlan, Topology
    from busbridge.transport import Entry, Headers, Part, Until

MAX_BYTES: Final = 16 * 1024 * 1024
"""The longest body that is taken: RabbitMQ's own default."""


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
        self._max_bytes = max_bytes
        self._destinations = Destinations(clock, now, self._bury)
        self._dead: dict[str, list[Stored]] = {}
        self._sources: set[MemorySource] = set()

    @property
    def outstanding(self) -> int:
        """Messages that a subscription with a live source has not settled; a topic's copies count each."""
        return self._destinations.quiescence.outstanding

    async def settled(self) -> None:
        """Waits, without polling, until nothing is outstanding: every consequence published on the way included."""
        await self._destinations.quiescence.settled()

    def dead_letters(self, plan: SubscriptionPlan) -> list[Stored]:
        """What a subscription rejected, then what expired in its queue: as it was, the record after its headers."""
        if isinstance(queue := self._destinations.get(plan.destination), Mailbox):
            queue.expire()
        return [*self._dead.get(plan.dead_letters, ()), *self._dead.get(expired_of(plan.destination), ())]

    def _bury(self, place: str, stored: Stored, record: Headers) -> None:
        self._dead.setdefault(place, []).append(Stored(stored.body, (*stored.headers, *record), stored.key))

    def sever(self) -> None:
        """Cuts every source's connection, as a fault: its session dies and what was unsettled is delivered again."""
        for source in list(self._sources):
            source.sever()

    def provision(self, topology: Topology) -> None:
        """Creates what is declared and is not there; raises TopologyMismatch where what is there differs."""
        for destination in topology.destinations:
            self._destinations.declare(destination)
        for plan in topology.subscriptions:
            self._dead.setdefault(plan.dead_letters, [])
            if plan.durable and plan.destination.kind is Kind.TOPIC:
                self._destinations.bind(plan)

    def remove(self, topology: Topology) -> None:
        """Deletes what was created for a topology, with all messages; what is not there is fine."""
        for plan in topology.subscriptions:
            self._destinations.forget_subscription(plan)
            self._dead.pop(plan.dead_letters, None)
        for destination in topology.destinations:
            if destination.provision:
                self._destinations.forget(destination)
                self._dead.pop(expired_of(destination), None)

    def refusal(self, entry: Entry) -> MessageRefused | None:
        """Why a stream would not keep the entry; None if it would."""
        if (problem := refusal(entry, self._max_bytes)) or self._destinations.get(entry.destination) is not None:
            return problem
        return MessageRefused("no_destination", entry.destination.name, "it does not exist on the broker")

    def publish(self, entry: Entry) -> Outcome:
        """Keeps the entry, or says why not."""
        if refused := refusal(entry, self._max_bytes):
            return Outcome(Status.REFUSED, error=refused)
        holder = self._destinations.get(entry.destination)
        if isinstance(holder, Mailbox):
            return _to_queue(holder, entry)
        if isinstance(holder, Topic):
            return _to_topic(holder, entry)
        stored = Stored(entry.body, tuple(entry.headers), entry.key)
        if holder is None:
            return self._to_dead_letters(stored, entry)
        return Outcome(Status.CONFIRMED, Position(*holder.put(stored)))

    def _to_dead_letters(self, stored: Stored, entry: Entry) -> Outcome:
        """What names no destination may name a subscription's dead letters: where a store ends what it has kept."""
        place = self._dead.get(entry.destination.physical)
        if place is None:
            return _refused("no_destination", entry.destination, "it does not exist on the broker")
        place.append(stored)
        return CONFIRMED

    def forget_dead(self, plan: SubscriptionPlan, letters: Collection[Stored]) -> None:
        """Dead letters of a subscription are gone for good; what is not among them is fine."""
        gone = set(letters)
        for name in (plan.dead_letters, expired_of(plan.destination)):
            if name in self._dead:
                self._dead[name] = [each for each in self._dead[name] if each not in gone]

    def redrive(self, plan: SubscriptionPlan, stored: Stored) -> Outcome:
        """Keeps a message for one subscription, or says why not."""
        mailbox = self._destinations.own(plan)
        if mailbox is None:
            return _refused("no_destination", plan.destination, f"the subscription {plan.group!r} has no place there")
        return _keep(mailbox, stored, plan.destination)

    def redriven(self, plan: SubscriptionPlan, prefetch: int) -> MemorySource:
        """A source of what is redriven to a subscription of a stream."""
        return self._source(plan, prefetch, self._destinations.beside(plan))

    def subscribe(self, plan: SubscriptionPlan, prefetch: int) -> MemorySource:
        """A source of what the subscription gets from now on, shared with its other sources."""
        return self._source(plan, prefetch, self._destinations.place(plan))

    def returning(self, plan: SubscriptionPlan, prefetch: int) -> list[MemorySource]:
        """What was put off and does not come back to where the subscription reads: that of a stream."""
        if plan.destination.kind is not Kind.STREAM:
            return []
        return [self._source(plan, prefetch, self._destinations.returning(plan))]

    def _source(self, plan: SubscriptionPlan, prefetch: int, place: Mailbox | Group) -> MemorySource:
        def bury(stored: Stored, record: Headers) -> None:
            self._bury(plan.dead_letters, stored, record)

        def left(source: MemorySource) -> None:
            self._sources.discard(source)
            self._destinations.unbind(plan)

        waiting = self._destinations.waiting(plan) if plan.retry.tiers else None
        source = MemorySource(plan, prefetch, lambda source: place.join(source, bury), left, waiting)
        self._sources.add(source)
        return source

    def read(self, destination: Destination, start: StartAt, until: Until) -> MemoryHistory:
        """A stream from its start to its end, for a reader of its own. TopologyMismatch where there is none."""
        log = self._log(destination)
        return MemoryHistory(log, parts_of(log, start, until))

    def read_parts(self, destination: Destination, parts: Mapping[int, Part]) -> MemoryHistory:
        """Parts of a stream, for a reader of its own. TopologyMismatch where there is none."""
        return MemoryHistory(self._log(destination), parts)

    def _log(self, destination: Destination) -> Log:
        log = self._destinations.get(destination)
        if not isinstance(log, Log):
            raise TopologyMismatch(f"stream {destination.physical!r}", ["it does not exist"])
        return log

    def __repr__(self) -> str:
        return f"<MemoryBroker, {len(self._sources)} sources, {self.outstanding} outstanding>"


def _to_queue(queue: Mailbox, entry: Entry) -> Outcome:
    return _keep(queue, Stored(entry.body, tuple(entry.headers), entry.key), entry.destination)


def _keep(mailbox: Mailbox, stored: Stored, destination: Destination) -> Outcome:
    if mailbox.full:
        return _refused("overflow", destination, "it holds as many messages as it may")
    mailbox.put(stored)
    return CONFIRMED


def _to_topic(topic: Topic, entry: Entry) -> Outcome:
    headers = tuple(entry.headers)
    targets = topic.targets(entry.routing_key, headers)
    for mailbox in targets:
        mailbox.put(Stored(entry.body, headers, entry.key))
    if targets or _may_be_unrouted(topic, entry.destination):
        return CONFIRMED
    return _refused("unroutable", entry.destination, f"no subscription takes routing key {entry.routing_key!r}")


def _may_be_unrouted(topic: Topic, destination: Destination) -> bool:
    if destination.unrouted is None:
        return bool(topic.mailboxes)
    return destination.unrouted is Unrouted.IGNORE


def _refused(reason: str, destination: Destination, detail: str) -> Outcome:
    return Outcome(Status.REFUSED, error=MessageRefused(reason, destination.name, detail))
