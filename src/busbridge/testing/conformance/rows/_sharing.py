"""Rows about who gets what: members share, groups don't, destinations keep apart, coming and going loses nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from busbridge.routing import Binding
from busbridge.testing.conformance._checks import overlapping_keys
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import entry_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance._worker import slowly
from busbridge.testing.conformance.rows._order import under_load
from busbridge.testing.conformance.rows._settling import RECORD, check_dead
from busbridge.transport import Entry

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Delivery, Transport

_HANDLING: Final = 0.002
_MEMBERS: Final = 3
_COPIED: Final = (Place.TOPIC, Place.STREAM)


async def members_compete(bench: Bench) -> None:
    """C22."""
    subscription = bench.subscription(prefetch=20)
    client = await bench.client()
    for _ in range(_MEMBERS):
        await subscription.worker(slowly(_HANDLING))
    await _until_all_work(bench, client, subscription)
    await bench.publish(client, 200 * bench.rig.scale)
    await subscription.judge()
    if bench.place.ordered and (keys := overlapping_keys(subscription.ledger.events)):
        raise RowFailed(f"two members held these keys at the same time: {sorted(keys)}")


async def _until_all_work(bench: Bench, client: Transport, subscription: Subscription) -> None:
    wanted = {each.name for each in subscription.workers}

    def idle() -> set[str]:
        return wanted - {each.member for each in subscription.ledger.of(What.DELIVERED)}

    for _ in range(round(bench.rig.patience / _ROUND_SECONDS)):
        await bench.publish(client, 50, keys=48)
        if await subscription.ledger.until(lambda: not idle(), _ROUND_SECONDS):
            return
    raise RowFailed(f"{sorted(idle())} of {_MEMBERS} members had nothing to do in {bench.rig.patience:g} s")


_ROUND_SECONDS: Final = 0.25


async def groups_are_independent(bench: Bench) -> None:
    """C23."""
    failing = bench.subscription("failing")
    healthy = bench.subscription("healthy")

    def treat(worker: Worker, delivery: Delivery) -> None:
        worker.reject(delivery, RECORD)

    await failing.worker(treat)
    await healthy.worker()
    await bench.publish(await bench.client(), 60)
    for each in (failing, healthy):
        await each.judge()
    if any(each.attempt != 1 or each.member == "" for each in healthy.ledger.of(What.DELIVERED)):
        raise RowFailed("the failures of one group show in the attempts of another")
    check_dead(await bench.rig.dead_letters(failing.plan), failing.ledger.seen)
    check_dead(await bench.rig.dead_letters(healthy.plan), ())


async def address_isolation(bench: Bench) -> None:
    """C24."""
    places = [bench.add(bench.new_destination(f"place-{number}")) for number in range(6)]
    subscriptions = [bench.subscription(f"reader-{each.name}", destination=each) for each in places]
    client = await bench.client()
    for each in subscriptions:
        await each.worker()
    await asyncio.gather(*(bench.send(client, bench.entries(20, destination=each)) for each in places))
    for each in subscriptions:
        await each.judge()


_KEYS: Final = ("shop.order.created", "shop.order", "shop", "stock.order.created", "shop.order.line.added")
_PATTERNS: Final[dict[str, set[str]]] = {
    "shop.order": {"shop.order"},
    "shop.*": {"shop.order"},
    "shop.#": {"shop.order.created", "shop.order", "shop", "shop.order.line.added"},
    "*.order.*": {"shop.order.created", "stock.order.created"},
    "#.created": {"shop.order.created", "stock.order.created"},
    "shop.*.#.added": {"shop.order.line.added"},
    "*": {"shop"},
    "#": set(_KEYS),
}


async def patterns_match(bench: Bench) -> None:
    """C24, routing keys: the id of each message is its routing key."""
    subscriptions = {
        pattern: bench.subscription(f"p{number}", bindings=(Binding(pattern), Binding("conformance.#")))
        for number, pattern in enumerate(_PATTERNS)
    }
    client = await bench.client()
    await client.publish(
        [entry_of(bench.destination, bench.prefix, each, routing_key=each) for each in _KEYS], bench.rig.patience
    )
    await _see(bench, {pattern: (each, _PATTERNS[pattern]) for pattern, each in subscriptions.items()})


async def _see(bench: Bench, wanted: dict[str, tuple[Subscription, set[str]]]) -> None:
    for subscription, _ in wanted.values():
        await subscription.worker()
    marks = await bench.publish_marks(bench.destination)
    for what, (subscription, ids) in wanted.items():
        await subscription.marked(marks)
        events = [each.id for each in subscription.ledger.of(What.DELIVERED)]
        if sorted(events) != sorted(ids):
            raise RowFailed(f"a subscription that matches {what} should get {sorted(ids)}, each once, and got {events}")


async def headers_match(bench: Bench) -> None:
    """C24, headers."""
    both, rule = {"region": "eu", "tier": "gold"}, Binding("conformance.#")
    cases = {
        "all": ((Binding(headers=both), rule), {"both"}),
        "any": ((Binding(headers=both, match_all=False), rule), {"both", "eu", "gold"}),
        "one": ((Binding(headers={"region": "eu"}), rule), {"both", "eu"}),
    }
    subscriptions = {
        name: (bench.subscription(name, bindings=bindings), ids) for name, (bindings, ids) in cases.items()
    }
    everything = bench.subscription("everything")
    client = await bench.client()
    carried = {"both": both, "eu": {"region": "eu"}, "gold": {"tier": "gold"}, "none": {}}
    await client.publish([_with_headers(bench, each, more) for each, more in carried.items()], bench.rig.patience)
    await _see(bench, {**subscriptions, "everything": (everything, set(carried))})


def _with_headers(bench: Bench, message_id: str, more: dict[str, str]) -> Entry:
    plain = entry_of(bench.destination, bench.prefix, message_id)
    return Entry(plain.destination, plain.body, [*plain.headers, *more.items()], None, "other.key")


async def churn_under_load(bench: Bench) -> None:
    """C29."""
    subscription = bench.subscription(prefetch=20)
    publishers = [await bench.client() for _ in range(3)]
    await subscription.worker(slowly(_HANDLING))
    for turn in range(6 * bench.rig.scale):
        change = partial(_come_and_go, subscription, gracefully=turn % 2 == 0)
        await under_load(bench, publishers[turn % 3], subscription, change)
    await subscription.judge(extra=None)


async def _come_and_go(subscription: Subscription, *, gracefully: bool) -> None:
    await subscription.worker(slowly(_HANDLING))
    leaver = subscription.workers.pop(0)
    await (leaver.stop() if gracefully else leaver.leave())


ROWS: Final = (
    Row("C22", "members_compete", "the members of a subscription share its work", tuple(Place), members_compete),
    Row(
        "C23",
        "groups_are_independent",
        "each subscription sees everything; failures in one are invisible to the others",
        _COPIED,
        groups_are_independent,
    ),
    Row("C24", "address_isolation", "nothing leaks from one destination to another", tuple(Place), address_isolation),
    Row("C24", "patterns_match", "routing key patterns match as declared", (Place.TOPIC,), patterns_match),
    Row(
        "C24",
        "headers_match",
        "header bindings match as declared",
        (Place.TOPIC,),
        headers_match,
        lambda capabilities, faults: capabilities.header_routing,  # noqa: ARG005 - a need
    ),
    Row(
        "C29", "churn_under_load", "members join and leave under load; nothing is lost", tuple(Place), churn_under_load
    ),
)
