"""Rows about settlements: they count once, each for its own message, and bound what is in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Final

from busbridge.errors import StaleDelivery
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import message_id_of, text_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance._worker import hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import DeadMessage
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Delivery

_COUNT: Final = 100
_FAILING: Final = {"m00003": 3, "m00050": 3}
"""Attempts that a message needs, by its id."""
_RACES: Final = 3
_RETRIED: Final = 3
"""Of the nine pairs of settlements, those that begin with a retry."""
_SOME: Final = 4
_PREFETCH: Final = 10
RECORD: Final = (("busbridge-dead-reason", "failed"), ("busbridge-dead-attempts", "3"))


async def retry_redelivers_with_attempt(bench: Bench) -> None:
    """C09."""
    subscription = bench.subscription()
    ledger = subscription.ledger

    def treat(worker: Worker, delivery: Delivery) -> None:
        attempts = _FAILING.get(message_id_of(delivery), 1)
        settle = worker.retry if delivery.attempt < attempts else worker.accept
        settle(delivery)

    await subscription.worker(treat)
    await bench.publish(await bench.client(), _COUNT)
    await subscription.complete()
    deliveries = _COUNT + sum(attempts - 1 for attempts in _FAILING.values())
    await ledger.until(lambda: len(ledger.of(What.DELIVERED)) >= deliveries, bench.rig.patience)
    await subscription.judge()
    _check_attempts(subscription)


def _check_attempts(subscription: Subscription) -> None:
    attempts: dict[str, list[int]] = {}
    for event in subscription.ledger.of(What.DELIVERED):
        attempts.setdefault(event.id, []).append(event.attempt)
    for message_id, found in attempts.items():
        wanted = list(range(1, _FAILING.get(message_id, 1) + 1))
        if found != wanted:
            raise RowFailed(f"{message_id} was handed over in attempts {found}, and not {wanted}")


async def reject_dead_letters_once(bench: Bench) -> None:
    """C10."""
    subscription = bench.subscription()
    bodies: dict[str, bytes | None] = {}

    def treat(worker: Worker, delivery: Delivery) -> None:
        if message_id_of(delivery).endswith("7"):
            bodies[message_id_of(delivery)] = delivery.body
            worker.reject(delivery, RECORD)
        else:
            worker.accept(delivery)

    await subscription.worker(treat)
    await bench.publish(await bench.client(), 100)
    await subscription.judge()
    dead = await bench.rig.dead_letters(subscription.plan)
    check_dead(dead, bodies)
    for letter in dead:
        _check_record(letter)


def check_dead(dead: Sequence[DeadMessage], wanted: Iterable[str]) -> None:
    """Raises RowFailed unless the dead letters are one of each wanted message, with its bytes."""
    found = sorted(dead_id(each) for each in dead)
    if found != sorted(wanted):
        raise RowFailed(f"the dead letters are {found}, and one each of {sorted(wanted)} was rejected")
    for letter in dead:
        if f'"{dead_id(letter)}"'.encode() not in (letter.body or b""):
            raise RowFailed(f"the dead letter of {dead_id(letter)} has another body")


def dead_id(letter: DeadMessage) -> str:
    """The id of the message that is dead."""
    return next((text_of(value) for name, value in letter.headers if name in ("ce-id", "ce_id")), "no id")


def _check_record(letter: DeadMessage) -> None:
    carried = {name: text_of(value) for name, value in letter.headers}
    for name, value in RECORD:
        if carried.get(name) != value:
            raise RowFailed(f"a dead letter's header {name!r} is {carried.get(name)!r}, and {value!r} was recorded")


async def rejected_is_never_lost(bench: Bench) -> None:
    """C10, the session is lost while dead letters are on their way: each message is one, or is handed over again."""
    subscription = bench.subscription(prefetch=20 * _COUNT)
    rejected: set[str] = set()

    def treat(worker: Worker, delivery: Delivery) -> None:
        (worker.accept if message_id_of(delivery) in rejected else worker.held.append)(delivery)

    worker = await subscription.worker(treat)
    await bench.publish(await bench.client(), _COUNT, keys=_COUNT)
    await subscription.complete()
    for delivery in worker.held:
        rejected.add(message_id_of(delivery))
        worker.reject(delivery, RECORD)
    await _some_turns()
    sever = bench.rig.faults.sever
    assert sever is not None, "the row needs it"
    await sever(subscription.plan)
    await subscription.judge(extra=None)
    dead = {dead_id(each) for each in await bench.rig.dead_letters(subscription.plan)}
    handed_over = Counter(each.id for each in subscription.ledger.of(What.DELIVERED))
    if lost := [each for each, times in handed_over.items() if times == 1 and each not in dead]:
        raise RowFailed(f"{len(lost)} rejected messages are neither dead letters nor came again: {lost[:5]}")


async def _some_turns() -> None:
    """Lets a transport begin what it does about a settlement, and not end it."""
    for _ in range(3):
        await asyncio.sleep(0)


async def first_settlement_wins(bench: Bench) -> None:
    """C12."""
    subscription = bench.subscription(prefetch=50)
    worker = await subscription.worker(hold)
    await bench.publish(await bench.client(), 9 + _RACES, keys=9 + _RACES)
    ledger = subscription.ledger
    await subscription.complete()
    verbs: tuple[Callable[[Delivery], bool], ...] = (_accept, _retry, _reject)
    rejected: list[str] = []
    held, worker.held = worker.held, []
    for delivery, (first, second) in zip(held[:9], product(verbs, verbs), strict=True):
        _settle_twice(worker, delivery, first, second)
        rejected += [message_id_of(delivery)] if first is _reject else []
    await asyncio.gather(*(_racing(worker, delivery) for delivery in held[9:]))
    if not await ledger.until(lambda: len(worker.held) == _RETRIED, bench.rig.patience):
        raise RowFailed(f"{_RETRIED} deliveries were retried, and {len(worker.held)} came again")
    for delivery in worker.held:
        worker.accept(delivery)
    await subscription.judge()
    check_dead(await bench.rig.dead_letters(subscription.plan), rejected)


def _accept(delivery: Delivery) -> bool:
    return delivery.accept()


def _retry(delivery: Delivery) -> bool:
    return delivery.retry()


def _reject(delivery: Delivery) -> bool:
    return delivery.reject(RECORD)


def _settle_twice(
    worker: Worker, delivery: Delivery, first: Callable[[Delivery], bool], second: Callable[[Delivery], bool]
) -> None:
    answers = (first(delivery), second(delivery))
    worker.done(delivery)
    if answers != (True, False):
        raise RowFailed(f"settling twice ({first.__name__}, then {second.__name__}) answered {answers}")


async def _racing(worker: Worker, delivery: Delivery) -> None:
    async def settle() -> bool:
        await asyncio.sleep(0)
        return delivery.accept()

    answers = await asyncio.gather(settle(), settle())
    worker.done(delivery)
    if sorted(answers) != [False, True]:
        raise RowFailed(f"two tasks settled one delivery and were answered {answers}")


async def stale_settlement_is_harmless(bench: Bench) -> None:
    """C13."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    worker = await subscription.worker(hold)
    await bench.publish(await bench.client(), 30, keys=30)
    await subscription.ledger.until(lambda: len(worker.held) >= _SOME, bench.rig.patience)
    held, worker.held = list(worker.held), []
    sever = bench.rig.faults.sever
    assert sever is not None, "the row needs it"
    await sever(subscription.plan)
    await subscription.ledger.until(lambda: not any(each.session.alive for each in held), bench.rig.patience)
    for delivery in held:
        _settle_stale(worker, delivery)
    await _accept_until(bench, subscription, worker, 30)
    await subscription.judge(extra=_PREFETCH)


def _settle_stale(worker: Worker, delivery: Delivery) -> None:
    try:
        delivery.accept()
    except StaleDelivery:
        worker.done(delivery)
        return
    raise RowFailed(f"{delivery!r} of a lost session was settled")


async def _accept_until(bench: Bench, subscription: Subscription, worker: Worker, count: int) -> None:
    settled: set[str] = set()
    while len(settled) < count:
        if not await subscription.ledger.until(lambda: bool(worker.held), bench.rig.patience):
            raise RowFailed(f"{len(settled)} of {count} messages came after the connection was lost")
        delivery = worker.held.pop(0)
        settled.add(message_id_of(delivery))
        worker.accept(delivery)


async def in_flight_bound(bench: Bench) -> None:
    """C16."""
    for bound in (1, 7, 100):
        destination = bench.add(bench.new_destination(f"bound-{bound}"))
        subscription = bench.subscription(f"reader-{bound}", destination=destination, prefetch=bound)
        await _within_bound(bench, subscription, bound)


async def _within_bound(bench: Bench, subscription: Subscription, bound: int) -> None:
    count, ledger = 2 * bound + 50, subscription.ledger
    worker = await subscription.worker(hold)
    await bench.send(await bench.client(), bench.entries(count, 64, subscription.plan.destination))
    if not await ledger.until(lambda: bool(worker.held), bench.rig.patience):
        raise RowFailed(f"with a bound of {bound} nothing was handed over")
    await ledger.until(lambda: ledger.open > bound, bench.rig.quiet)
    for done in range(count):
        if not await ledger.until(lambda: bool(worker.held), bench.rig.patience):
            raise RowFailed(f"with a bound of {bound} nothing came after {done} settlements")
        worker.accept(worker.held.pop(0))
    if ledger.most_open > bound:
        raise RowFailed(f"{ledger.most_open} deliveries were unsettled at once, and {bound} are allowed")
    await subscription.judge()


async def unfinished_message_blocks_no_other(bench: Bench) -> None:
    """C16, the other side of the bound: one handler that takes long leaves the rest of the prefetch to others."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    worker = await subscription.worker(hold)
    count, ledger = 6 * _PREFETCH, subscription.ledger
    await bench.publish(await bench.client(), count, keys=count)
    if not await ledger.until(lambda: bool(worker.held), bench.rig.patience):
        raise RowFailed("nothing was handed over")
    first = worker.held.pop(0)
    for done in range(count - 1):
        if not await ledger.until(lambda: bool(worker.held), bench.rig.patience):
            raise RowFailed(f"behind one unfinished message nothing came after {done} settlements")
        worker.accept(worker.held.pop(0))
    worker.accept(first)
    await subscription.judge()


ROWS: Final = (
    Row(
        "C09",
        "retry_redelivers_with_attempt",
        "a retried delivery returns with the next attempt number; its neighbours are unaffected",
        tuple(Place),
        retry_redelivers_with_attempt,
    ),
    Row(
        "C10",
        "reject_dead_letters_once",
        "a rejected message is in the dead letters once, with its bytes, headers and record",
        tuple(Place),
        reject_dead_letters_once,
    ),
    Row(
        "C10",
        "rejected_is_never_lost",
        "what was rejected when the session was lost is a dead letter, or is handed over again",
        tuple(Place),
        rejected_is_never_lost,
        lambda capabilities, faults: faults.sever is not None,  # noqa: ARG005 - a need
    ),
    Row(
        "C12",
        "first_settlement_wins",
        "settling again is answered with False and changes nothing",
        tuple(Place),
        first_settlement_wins,
    ),
    Row(
        "C13",
        "stale_settlement_is_harmless",
        "settling a delivery of a lost session is an error that touches no other message",
        tuple(Place),
        stale_settlement_is_harmless,
        lambda capabilities, faults: faults.sever is not None,  # noqa: ARG005 - a need
    ),
    Row(
        "C16",
        "in_flight_bound",
        "deliveries that are not settled never exceed the prefetch",
        tuple(Place),
        in_flight_bound,
    ),
    Row(
        "C16",
        "unfinished_message_blocks_no_other",
        "a message that is not settled for long takes one place of the prefetch, not all",
        tuple(Place),
        unfinished_message_blocks_no_other,
    ),
)
