"""Rows about what a subscription keeps while nobody is there, and what it does not bring back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from busbridge.routing import StartAt
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import entry_of, mark_id
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.transport import Capabilities, Transport

_PROBE_SECONDS = 0.2


async def reach(bench: Bench, client: Transport, subscription: Subscription) -> None:
    """Publishes until the subscription is heard to take: only then has one that starts at the end begun."""
    for number in range(round(bench.rig.patience / _PROBE_SECONDS) + 1):
        probe = mark_id(f"probe-{subscription.plan.name}-{number}")
        await client.publish([entry_of(bench.destination, bench.prefix, probe)], bench.rig.patience)
        if await subscription.ledger.until(lambda: bool(subscription.ledger.marks), _PROBE_SECONDS):
            return
    raise RowFailed(f"subscription {subscription.plan.name!r} was handed nothing in {bench.rig.patience:g} s")


async def durable_subscription_retains(bench: Bench) -> None:
    """C06."""
    subscription = bench.subscription()
    await _begin_and_leave(bench, subscription)
    await bench.publish(await bench.client(), 100 * bench.rig.scale)
    await subscription.judge()


async def latest_retains_once_begun(bench: Bench) -> None:
    """C06, of a subscription that starts at the end of a stream: what it missed before does not come, the rest does."""
    history = bench.subscription("history")
    await bench.publish(await bench.client(), 20)
    subscription = bench.subscription(start=StartAt("latest"))
    await _begin_and_leave(bench, subscription)
    await bench.publish(await bench.client(), 100 * bench.rig.scale)
    await subscription.judge()
    await history.judge()


async def _begin_and_leave(bench: Bench, subscription: Subscription) -> None:
    client = await bench.client()
    await subscription.worker()
    await reach(bench, client, subscription)
    await subscription.stop()


async def ephemeral_subscription_forgets(bench: Bench) -> None:
    """C06, of a subscription that is not durable."""
    durable = bench.subscription("durable")
    missed = bench.subscription("missed", durable=False, start=StartAt("latest"))
    await _begin_and_leave(bench, missed)
    client = await bench.client()
    await bench.publish(client, 20)
    await durable.judge()
    worker = await missed.worker()
    missed.ledger.marks.clear()
    await reach(bench, client, missed)
    before = missed.ledger.of(What.DELIVERED)
    await worker.stop()
    missed.workers.clear()
    if before:
        raise RowFailed(f"{len(before)} messages published while nobody was connected came to one that is not durable")


async def ack_is_final(bench: Bench) -> None:
    """C07."""
    subscription = bench.subscription()
    await subscription.worker()
    await bench.publish(await bench.client(), 100 * bench.rig.scale)
    await subscription.complete()
    await subscription.stop()
    handled = len(subscription.ledger.of(What.DELIVERED))
    await subscription.drain()
    if back := len(subscription.ledger.of(What.DELIVERED)) - handled:
        raise RowFailed(f"{back} settled messages came back to a new client")


async def replay_from_start(bench: Bench) -> None:
    """C25."""
    client = await bench.client()
    everything = bench.subscription("everything", start=StartAt("earliest"))
    await bench.publish(client, 60, batch=20)
    await asyncio.sleep(_MILLISECOND)
    since = datetime.now(UTC)
    await asyncio.sleep(_MILLISECOND)
    by_time = bench.subscription("by-time", start=StartAt(since))
    latest = bench.subscription("latest", start=StartAt("latest"))
    await latest.worker()
    await reach(bench, client, latest)
    await bench.publish(client, 60, batch=20)
    again = bench.subscription("again", start=StartAt("earliest"))
    for each in (everything, latest, by_time):
        await each.judge()
    await _same_history(bench, everything, again)


_MILLISECOND: Final = 0.005
"""Times in a stream are kept in milliseconds: what is meant to lie before or after must lie further away."""


async def _same_history(bench: Bench, everything: Subscription, again: Subscription) -> None:
    await again.worker()
    count = len({each.id for each in everything.ledger.of(What.DELIVERED)})
    await again.ledger.until(lambda: len(again.ledger.seen) >= count, bench.rig.patience)
    first, second = (_by_partition(each) for each in (everything, again))
    if first != second:
        raise RowFailed("a later group that starts from earliest read another history than the first one")


def _by_partition(subscription: Subscription) -> dict[int, list[str]]:
    read: dict[int, list[str]] = {}
    for event in subscription.ledger.of(What.DELIVERED):
        if event.position is not None:
            read.setdefault(event.position.partition, []).append(event.id)
    return read


async def replay_from_offset(bench: Bench) -> None:
    """C25, from an offset of every partition."""
    everything = bench.subscription("everything")
    client = await bench.client()
    await bench.publish(client, 60)
    late = bench.subscription("late", start=StartAt(_OFFSET))
    await everything.judge()
    await late.worker()
    read = everything.ledger.of(What.DELIVERED)
    wanted = {each.id for each in read if each.position is not None and each.position.offset >= _OFFSET}
    await late.ledger.until(lambda: len(late.ledger.seen) >= len(wanted), bench.rig.patience)
    await late.drain()
    if late.ledger.seen != wanted:
        raise RowFailed(f"from offset {_OFFSET} on there are {len(wanted)} messages; {len(late.ledger.seen)} came")


_OFFSET: Final = 3


def _replayable(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.replayable


ROWS: Final = (
    Row(
        "C06",
        "durable_subscription_retains",
        "what is published while the consumer is away arrives when it returns",
        tuple(Place),
        durable_subscription_retains,
    ),
    Row(
        "C06",
        "latest_retains_once_begun",
        "a subscription that starts at the end misses nothing once it has begun, also if it had read nothing",
        (Place.STREAM,),
        latest_retains_once_begun,
        _replayable,
    ),
    Row(
        "C06",
        "ephemeral_subscription_forgets",
        "nothing is kept for a subscription that is not durable while nobody is connected",
        (Place.TOPIC, Place.STREAM),
        ephemeral_subscription_forgets,
        lambda capabilities, faults: capabilities.ephemeral,  # noqa: ARG005 - a need
    ),
    Row("C07", "ack_is_final", "a settled message does not come back", tuple(Place), ack_is_final),
    Row(
        "C25",
        "replay_from_start",
        "a new group sees the history from earliest or from a time, and from latest only what follows",
        (Place.STREAM,),
        replay_from_start,
        _replayable,
    ),
    Row(
        "C25",
        "replay_from_offset",
        "a new group sees the history from an offset on",
        (Place.STREAM,),
        replay_from_offset,
        _replayable,
    ),
)
