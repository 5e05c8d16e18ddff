"""What must exist on the broker, as data: exchanges, queues and bindings, from the library's topology.

Every queue that holds messages durably is a quorum queue which refuses what does not fit (`reject-publish`), and hands
what expires or was delivered absurdly often to a dead-letter queue with the at-least-once strategy: all other settings
lose messages. The delivery limit is never -1, which destroys messages on RabbitMQ 3.10, and never the default, which
drops a message after its 20th delivery (T4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, final

from busbridge.routing import Kind
from busbridge_rabbitmq._routes import shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from busbridge.routing import Binding, Destination, SubscriptionPlan, Topology

DELIVERY_LIMIT = 1_000_000
UNUSED_AFTER = 30 * 60 * 1000
"""Milliseconds after which a queue of a destination that is not durable goes, when nobody uses it."""


@final
@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange to declare; `create=False`: it must be there."""

    name: str
    type: str = "topic"
    create: bool = True


@final
@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to declare; `create=False`: it must be there."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    auto_delete: bool = False
    create: bool = True


@final
@dataclass(frozen=True, slots=True)
class Bind:
    """A binding of `target`, a queue or an exchange, to the exchange `source`."""

    source: str
    target: str
    key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    to_exchange: bool = False


@final
@dataclass(frozen=True, slots=True)
class Sharded:
    """The shards of an ordered queue. Their number is fixed once they exist."""

    queues: tuple[Queue, ...]
    beyond: str
    """The queue that exists only if there are more shards than declared."""
    last: str
    """The queue that is missing only if there are fewer, or none at all."""


Declaration: TypeAlias = Exchange | Queue | Bind | Sharded


def declarations(topology: Topology) -> Iterator[Declaration]:
    """All that the topology needs, in an order in which it can be declared."""
    for destination in topology.destinations:
        yield from _destination(destination)
    for plan in topology.subscriptions:
        if plan.durable:
            yield from subscription(plan)


def for_subscription(plan: SubscriptionPlan) -> Iterator[Declaration]:
    """What one subscription needs: its destination and its own queues."""
    yield from _destination(plan.destination)
    yield from subscription(plan)


def _destination(destination: Destination) -> Iterator[Declaration]:
    if destination.kind is Kind.TOPIC:
        yield Exchange(destination.physical, create=destination.provision)
    elif destination.ordered:
        yield from _sharded(destination)
    elif not destination.provision:
        yield Queue(destination.physical, create=False)
    else:
        yield from _with_dead_letters(destination.physical, destination, durable=destination.durable)


def _with_dead_letters(name: str, destination: Destination, *, durable: bool) -> Iterator[Declaration]:
    """The queue of a destination, after the queue that its expired messages go to."""
    dead = dead_letters_of(destination)
    yield dead_letter_queue(dead)
    yield Queue(name, _arguments(destination, dead, durable=durable))


def _sharded(destination: Destination) -> Iterator[Declaration]:
    dead = dead_letters_of(destination)
    names = shards(destination)
    arguments = {**_arguments(destination, dead, durable=destination.durable), "x-single-active-consumer": True}
    if destination.provision:
        yield dead_letter_queue(dead)
    queues = tuple(Queue(name, arguments, create=destination.provision) for name in names)
    yield Sharded(queues, beyond=f"{destination.physical}.{len(names)}", last=names[-1])


def dead_letters_of(destination: Destination) -> str:
    """Where a queue's own dead letters go: what nobody read in time. Those of a subscription have their own place."""
    return f"{destination.physical}.dead"


def dead_letter_queue(name: str) -> Queue:
    """A queue that keeps dead letters until somebody decides: no limit of any kind, no dead letters of its own."""
    return Queue(name, {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT})


def subscription(plan: SubscriptionPlan) -> Iterator[Declaration]:
    """A subscription's dead-letter queue, its queues for waiting, and on a topic its own queue with its bindings."""
    yield dead_letter_queue(plan.dead_letters)
    yield from _waiting(plan)
    if plan.destination.kind is Kind.TOPIC:
        yield _own_queue(plan)
        for binding in plan.bindings:
            yield from _bindings(plan, binding)


def queue_of(plan: SubscriptionPlan) -> str:
    """The queue that a subscription reads, where that is a single one."""
    return plan.group if plan.destination.kind is Kind.TOPIC else plan.destination.physical


def _waiting(plan: SubscriptionPlan) -> Iterator[Queue]:
    """A queue for each tier, from which the broker hands what has waited to the subscription, and to no other.

    All in it wait equally long: RabbitMQ lets go of a queue's head only, so a long wait would hold up those behind it.
    """
    for name, seconds in zip(plan.waiting, plan.retry.tiers, strict=True):
        back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue_of(plan)}
        kept = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, "x-overflow": "reject-publish"}
        waits = {"x-message-ttl": round(seconds * 1000), "x-dead-letter-strategy": "at-least-once"}
        yield Queue(name, {**kept, **waits, **back})


def _own_queue(plan: SubscriptionPlan) -> Queue:
    if plan.durable:
        return Queue(plan.group, _arguments(plan.destination, plan.dead_letters, durable=True))
    # Declared durable all the same, since RabbitMQ 4.3 denies transient queues that are not exclusive. It goes with its
    # last consumer, and its messages with it: nothing is kept while nobody is connected.
    arguments = _arguments(plan.destination, plan.dead_letters, durable=False)
    return Queue(plan.group, {**arguments, "x-queue-type": "classic"}, auto_delete=True)


def _arguments(destination: Destination, dead: str, *, durable: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum" if durable else "classic",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
        "x-overflow": "reject-publish",
    }
    if durable:
        arguments |= {"x-dead-letter-strategy": "at-least-once", "x-delivery-limit": DELIVERY_LIMIT}
    else:
        arguments["x-expires"] = UNUSED_AFTER
    if destination.max_length is not None:
        arguments["x-max-length"] = destination.max_length
    if destination.ttl is not None:
        arguments["x-message-ttl"] = round(destination.ttl.total_seconds() * 1000)
    return arguments


def _bindings(plan: SubscriptionPlan, binding: Binding) -> Iterator[Declaration]:
    topic = plan.destination.physical
    pattern = binding.pattern or "#"
    if not binding.headers:
        yield Bind(topic, plan.group, pattern)
        return
    # A topic exchange can't look at headers: a headers exchange behind it does, one for each pattern.
    behind = f"{topic}.headers" if pattern == "#" else f"{topic}.headers.{pattern}"
    yield Exchange(behind, "headers")
    yield Bind(topic, behind, pattern, to_exchange=True)
    yield Bind(behind, plan.group, arguments={**binding.headers, "x-match": _match(binding)})


def _match(binding: Binding) -> str:
    words = "all" if binding.match_all else "any"
    # The plain words skip headers that begin with `x-`.
    return f"{words}-with-x" if any(name.startswith("x-") for name in binding.headers) else words
