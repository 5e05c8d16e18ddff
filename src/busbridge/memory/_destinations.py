"""What was declared on an in-memory broker: the queues, topics and streams, and the places their subscriptions read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, final

from busbridge.errors import TopologyMismatch
from busbridge.memory._group import Group
from busbridge.memory._mailbox import Mailbox
from busbridge.memory._quiescence import Place, Quiescence
from busbridge.memory._stream import Log
from busbridge.memory._topic import Topic
from busbridge.memory._waiting import Waiting
from busbridge.retry import PREFIX, Reason
from busbridge.routing import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.memory._stored import Stored
    from busbridge.routing import Destination, SubscriptionPlan
    from busbridge.transport import Headers

    Bury: TypeAlias = Callable[[str, Stored, Headers], None]

Holder: TypeAlias = "Mailbox | Topic | Log"
"""What keeps the messages of a destination."""

_FIXED: Final = ("kind", "ordered", "partitions", "retention", "compaction", "max_length", "ttl")


@final
class Destinations:
    """Destinations by physical name. What exists is never changed. `bury` keeps a dead letter in the place named."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], float], bury: Bury) -> None:
        self.quiescence = Quiescence(self._places)
        self._clock = clock
        self._now = now
        self._bury = bury
        self._declared: dict[str, Destination] = {}
        self._holders: dict[str, Holder] = {}
        self._waiting: dict[str, Waiting] = {}
        self._returning: dict[str, Mailbox] = {}
        self._beside: dict[str, Mailbox] = {}

    def get(self, destination: Destination) -> Holder | None:
        """What keeps the messages of a destination; None if it was not declared."""
        return self._holders.get(destination.physical)

    def declare(self, wanted: Destination) -> None:
        """Creates it if it is not there. Raises TopologyMismatch where it differs, or must not be created."""
        name = wanted.physical
        if (known := self._declared.get(name)) is None:
            if not wanted.provision:
                raise TopologyMismatch(f"{wanted.kind} {name!r}", ["it does not exist, and must not be created"])
            self._declared[name] = wanted
            self._holders[name] = self._create(wanted)
        elif wanted.provision and (differences := _differences(known, wanted)):
            raise TopologyMismatch(f"{known.kind} {name!r}", differences)

    def _create(self, destination: Destination) -> Holder:
        match destination.kind:
            case Kind.TOPIC:
                return Topic()
            case Kind.STREAM:
                return self._log(destination)
            case Kind.QUEUE:
                return self._queue(destination)

    def _log(self, destination: Destination) -> Log:
        return Log(
            destination.physical,
            destination.partitions,
            self._now,
            retention=destination.retention.total_seconds() if destination.retention else None,
            compaction=destination.compaction,
        )

    def _queue(self, destination: Destination) -> Mailbox:
        record = ((f"{PREFIX}reason", Reason.EXPIRED.value), (f"{PREFIX}destination", destination.name))
        return Mailbox(
            destination.physical,
            self.quiescence,
            self._clock,
            lambda stored: self._bury(expired_of(destination), stored, record),
            ordered=destination.ordered,
            max_length=destination.max_length,
            ttl=destination.ttl.total_seconds() if destination.ttl else None,
        )

    def bind(self, plan: SubscriptionPlan) -> Mailbox:
        """The mailbox of a topic's subscription, created if it is not there, its bindings added to those it has."""
        topic = self.get(plan.destination)
        if not isinstance(topic, Topic):
            raise missing(plan)
        mailbox = topic.mailboxes.get(plan.group) or Mailbox(plan.group, self.quiescence, self._clock, _never)
        topic.bind(mailbox, plan.bindings)
        return mailbox

    def unbind(self, plan: SubscriptionPlan) -> None:
        """Forgets a topic's subscription that is not durable, once nobody reads it."""
        topic = self.get(plan.destination)
        if not isinstance(topic, Topic) or plan.durable:
            return
        mailbox = topic.mailboxes.get(plan.group)
        if mailbox is not None and not mailbox.consumed:
            topic.unbind(plan.group)

    def forget(self, destination: Destination) -> None:
        """Deletes a destination, with all that it holds."""
        self._declared.pop(destination.physical, None)
        self._holders.pop(destination.physical, None)
        self.quiescence.check()

    def forget_subscription(self, plan: SubscriptionPlan) -> None:
        """Deletes what a topic copied for a subscription, or how far it has come in a stream, and what it put off."""
        self._waiting.pop(plan.group, None)
        self._returning.pop(plan.group, None)
        self._beside.pop(plan.group, None)
        match self.get(plan.destination):
            case Topic() as topic:
                topic.unbind(plan.group)
            case Log() as log:
                log.groups.pop(plan.group, None)
            case _:
                pass
        self.quiescence.check()

    def place(self, plan: SubscriptionPlan) -> Mailbox | Group:
        """Where a subscription reads. Raises TopologyMismatch where it was not provisioned."""
        match holder := self.get(plan.destination):
            case Topic():
                if plan.durable and plan.group not in holder.mailboxes:
                    raise missing(plan)
                return self.bind(plan)
            case Log():
                return holder.groups.get(plan.group) or holder.add(Group(plan, holder, self.quiescence))
            case Mailbox():
                return holder
            case None:
                raise missing(plan)

    def waiting(self, plan: SubscriptionPlan) -> Waiting:
        """Where a subscription puts off to."""
        if (known := self._waiting.get(plan.group)) is None:
            place = self.place(plan)
            known = Waiting(place if isinstance(place, Mailbox) else self.returning(plan))
            self._waiting[plan.group] = known
        return known

    def returning(self, plan: SubscriptionPlan) -> Mailbox:
        """What a subscription of a stream has put off comes back into a mailbox of its own: others read the stream."""
        if (known := self._returning.get(plan.group)) is None:
            known = Mailbox(f"{plan.group}.retry", self.quiescence, self._clock, _never)
            self._returning[plan.group] = known
        return known

    def own(self, plan: SubscriptionPlan) -> Mailbox | None:
        """Where a message reaches one subscription alone; on a queue, whoever takes from it. None: it has no place."""
        match holder := self.get(plan.destination):
            case Topic():
                return holder.mailboxes.get(plan.group)
            case Log():
                return self.beside(plan)
            case _:
                return holder

    def beside(self, plan: SubscriptionPlan) -> Mailbox:
        """What is redriven to a subscription of a stream: a stream's every group would get it."""
        mailbox = self._beside.get(plan.group)
        if mailbox is None:
            mailbox = Mailbox(f"{plan.group}.redrive", self.quiescence, self._clock, _never, ordered=True)
            self._beside[plan.group] = mailbox
        return mailbox

    def _places(self) -> list[Place]:
        places: list[Place] = [*self._waiting.values(), *self._returning.values(), *self._beside.values()]
        for holder in self._holders.values():
            match holder:
                case Mailbox():
                    places.append(holder)
                case Topic():
                    places.extend(holder.mailboxes.values())
                case Log():
                    places.extend(holder.groups.values())
        return places


def expired_of(destination: Destination) -> str:
    """The name of the place where a queue's expired messages go."""
    return f"{destination.physical}.dead"


def missing(plan: SubscriptionPlan) -> TopologyMismatch:
    """The error for a subscription that was not provisioned."""
    return TopologyMismatch(f"subscription {plan.group!r}", [f"{plan.destination.physical!r} was not provisioned"])


def _differences(known: Destination, wanted: Destination) -> list[str]:
    pairs = ((name, getattr(known, name), getattr(wanted, name)) for name in _FIXED)
    return [f"{name} is {there}, not {asked}" for name, there, asked in pairs if there != asked]


def _never(stored: Stored) -> None:
    raise AssertionError(stored)
