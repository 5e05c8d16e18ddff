"""Rows about order and positions: per key, without gaps, the same for everyone, never past what is unfinished."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from busbridge.routing import Kind
from busbridge.testing.conformance._checks import disagreements, jumps, late_by_key, overlapping_keys
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import entry_of, message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance._worker import accept, hold, slowly
from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Capabilities, Transport

    Act: TypeAlias = "Callable[[], Awaitable[object]]"

_ORDERED: Final = (Place.ORDERED_QUEUE, Place.STREAM)
_SLICE: Final = 100
_HANDLING: Final = 0.002
_LONGER: Final = 0.02
"""Long enough that what has begun has not ended when a partition or shard moves."""
_PREFETCH: Final = 20


async def delivered(bench: Bench, subscription: Subscription, count: int) -> None:
    """Waits until so many different messages were delivered."""
    if not await subscription.ledger.until(lambda: len(subscription.ledger.seen) >= count, bench.rig.patience):
        raise RowFailed(f"{len(subscription.ledger.seen)} of {count} messages came in {bench.rig.patience:g} s")


async def under_load(
    bench: Bench, client: Transport, subscription: Subscription, act: Callable[[], Awaitable[object]]
) -> None:
    """Does something while messages are published and handled."""
    size = _SLICE * bench.rig.scale
    target = len(subscription.ledger.seen) + size // 4
    await bench.publish(client, size // 2, batch=10)
    await delivered(bench, subscription, target)
    await asyncio.gather(bench.publish(client, size // 2, batch=10), act())


async def _nothing() -> None:
    pass


async def per_key_order(bench: Bench) -> None:
    """C17."""
    subscription = bench.subscription()
    for _ in range(2):
        await subscription.worker(slowly(_HANDLING))
    await bench.publish(await bench.client(), 3 * _SLICE * bench.rig.scale, keys=4, batch=10)
    await _in_order(subscription)


async def _in_order(subscription: Subscription, *, late: int = 0, extra: int | None = 0) -> None:
    await subscription.judge(extra=extra)
    found = late_by_key(subscription.ledger.events)
    count = sum(len(each) for each in found.values())
    if count > late:
        raise RowFailed(f"{count} messages came after a later one of their key, and {late} may: {dict(found)}")
    if extra == 0 and (keys := overlapping_keys(subscription.ledger.events)):
        raise RowFailed(f"two members held these keys at the same time: {sorted(keys)}")


async def order_survives_bad_entry(bench: Bench) -> None:
    """C17, an entry that can't be published stands among the others, and may make the transport send them again."""
    subscription = bench.subscription()
    await subscription.worker()
    client = await bench.client()
    kind = Kind.TOPIC if Kind.TOPIC in bench.rig.capabilities.kinds else bench.place.kind
    nowhere = bench.new_destination("nowhere", kind=kind, ordered=kind is Kind.STREAM, partitions=None)
    entries = bench.entries(2 * _SLICE, keys=4)
    entries.insert(_SLICE, entry_of(nowhere, bench.prefix, "lost"))
    outcomes = await bench.send(client, entries)
    wrong = [index for index, each in enumerate(outcomes) if each.status is not Status.CONFIRMED]
    if wrong != [_SLICE]:
        raise RowFailed(f"entry {_SLICE} has no destination, and these were not confirmed: {wrong}")
    await _in_order(subscription, extra=None)


async def order_survives_graceful_stop(bench: Bench) -> None:
    """C17, a member joins and the first one stops under load."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    client = await bench.client()
    first = await subscription.worker(slowly(_LONGER))
    await under_load(bench, client, subscription, partial(subscription.worker, slowly(_LONGER)))
    await _load_until_all_work(bench, client, subscription)
    await under_load(bench, client, subscription, first.stop)
    await _in_order(subscription)


async def _load_until_all_work(bench: Bench, client: Transport, subscription: Subscription) -> None:
    """Keeps the members busy until each was handed something: what moves to a new one, moves under load."""
    ledger = subscription.ledger
    wanted = {each.name for each in subscription.workers}
    deadline = time.monotonic() + bench.rig.patience
    while wanted - {each.member for each in ledger.of(What.DELIVERED)}:
        if time.monotonic() > deadline:
            raise RowFailed(f"a new member was handed nothing in {bench.rig.patience:g} s")
        await bench.publish(client, _PREFETCH, batch=_PREFETCH)
        await ledger.until(lambda: len(ledger.missing) < _PREFETCH, bench.rig.patience)


async def order_survives_rolling_restart(bench: Bench) -> None:
    """C17, each member is replaced in its turn under load."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    client = await bench.client()
    members = [await subscription.worker(slowly(_LONGER)) for _ in range(2)]
    for member in members:
        await under_load(bench, client, subscription, partial(_replace, subscription, member))
    await _in_order(subscription)


async def _replace(subscription: Subscription, member: Worker) -> None:
    await subscription.worker(slowly(_LONGER))
    await member.stop()


async def order_survives_forced_error(bench: Bench) -> None:
    """C17, the broker closes what takes the deliveries. What it had sent ahead may come late: at most the prefetch."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    client = await bench.client()
    sever = bench.rig.faults.sever
    assert sever is not None, "the row needs it"
    for _ in range(2):
        await subscription.worker(slowly(_HANDLING))
    await under_load(bench, client, subscription, partial(sever, subscription.plan))
    await under_load(bench, client, subscription, _nothing)
    await _in_order(subscription, late=2 * _PREFETCH, extra=None)


async def no_skip_no_rewind(bench: Bench) -> None:
    """C19."""
    subscription = bench.subscription()
    client = await bench.client()
    await subscription.worker(slowly(_HANDLING))
    await under_load(bench, client, subscription, partial(subscription.worker, slowly(_HANDLING)))
    await under_load(bench, client, subscription, _nothing)
    await subscription.complete()
    if found := jumps(subscription.ledger.events):
        raise RowFailed(f"positions skip or go back: {'; '.join(found[:5])}")
    await subscription.judge()


async def unfinished_comes_back(bench: Bench) -> None:
    """C08 and C20."""
    subscription = bench.subscription(prefetch=200)
    client = await bench.client()
    chance = random.Random(20)  # noqa: S311 - the same every time
    worker = await subscription.worker(hold)
    await bench.publish(client, 120, keys=120)
    await subscription.complete()
    unfinished = await _leave_some(bench, worker, chance)
    taker = await subscription.worker(accept)
    await subscription.ledger.until(lambda: unfinished <= _taken(subscription, taker), bench.rig.patience)
    if gone := unfinished - _taken(subscription, taker):
        raise RowFailed(
            f"{len(gone)} of {len(unfinished)} messages left unfinished did not come back: {sorted(gone)[:5]}"
        )
    await subscription.judge(extra=None)


async def _leave_some(bench: Bench, worker: Worker, chance: random.Random) -> set[str]:
    chance.shuffle(worker.held)
    for delivery in worker.held[20:]:
        worker.accept(delivery)
    unfinished = {message_id_of(each) for each in worker.held[:20]}
    if not await worker.source.flush(bench.rig.patience):
        raise RowFailed("settlements were not with the broker in time")
    for delivery in worker.held[:20]:
        worker.release(delivery)
    await worker.leave()
    return unfinished


def _taken(subscription: Subscription, worker: Worker) -> set[str]:
    return {each.id for each in subscription.ledger.of(What.DELIVERED, member=worker.name)}


async def position_agreement(bench: Bench) -> None:
    """C21."""
    readers = [bench.subscription("first"), bench.subscription("second")]
    await bench.publish(await bench.client(), 200)
    for each in readers:
        await each.worker()
        await each.judge()
    events = [event for each in readers for event in each.ledger.of(What.CONFIRMED, What.DELIVERED)]
    if any(event.position is None for event in events):
        raise RowFailed("a confirmed publish or a delivery has no position")
    if found := disagreements(events):
        raise RowFailed(f"positions disagree: {'; '.join(found[:5])}")


def _positions(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.positions


def _severable(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return faults.sever is not None


def _ordered(name: str, guarantee: str, run: Callable[[Bench], Awaitable[None]]) -> Row:
    return Row("C17", name, guarantee, _ORDERED, run)


ROWS: Final = (
    _ordered("per_key_order", "within a key, first deliveries follow the order of publishing", per_key_order),
    _ordered(
        "order_survives_bad_entry",
        "within a key order holds when an entry of the batch can't be published",
        order_survives_bad_entry,
    ),
    _ordered(
        "order_survives_graceful_stop",
        "within a key order holds, and no message comes twice, when members join and stop",
        order_survives_graceful_stop,
    ),
    _ordered(
        "order_survives_rolling_restart",
        "within a key order holds, and no message comes twice, when all members are replaced",
        order_survives_rolling_restart,
    ),
    Row(
        "C17",
        "order_survives_forced_error",
        "when the broker closes a channel, at most the prefetch comes late within its key",
        _ORDERED,
        order_survives_forced_error,
        _severable,
    ),
    Row(
        "C08",
        "unfinished_comes_back",
        "what a worker left unsettled is delivered again",
        (Place.QUEUE, Place.ORDERED_QUEUE, Place.TOPIC),
        unfinished_comes_back,
    ),
    Row(
        "C19",
        "no_skip_no_rewind",
        "the positions of a session step forward without gaps",
        (Place.STREAM,),
        no_skip_no_rewind,
        _positions,
    ),
    Row(
        "C20",
        "commit_watermark_contiguous",
        "the committed position never passes an unfinished message",
        (Place.STREAM,),
        unfinished_comes_back,
    ),
    Row(
        "C21",
        "position_agreement",
        "publisher and all groups agree on which message stands where",
        (Place.STREAM,),
        position_agreement,
        _positions,
    ),
)
