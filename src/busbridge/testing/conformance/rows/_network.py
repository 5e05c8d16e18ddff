"""Rows about the network: silence is neither success nor failure, has an end, and makes nobody a second owner."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from busbridge.errors import StaleDelivery
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance._worker import hold
from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Capabilities, Delivery, Entry, Transport

_DEADLINE: Final = 2.0
_GRACE: Final = 1.0
"""Seconds by which a call may outlast its deadline."""
_COUNT: Final = 20
_PREFETCH: Final = 10
_WAYS: Final = ((True, True), (True, False), (False, True))
"""What vanishes: what goes to the broker, and what comes from it."""
_ON: Final = (Place.QUEUE, Place.STREAM)


async def unknown_outcome_is_reported(bench: Bench) -> None:
    """C04: messages reach the broker, and nothing of its answer comes back."""
    subscription = bench.subscription()
    line = await bench.line()
    client = await bench.client(line.settings())
    await bench.publish(client, _COUNT)
    line.hold(to_broker=False, from_broker=True)
    await _unknown(bench, client, bench.entries(_COUNT))
    line.release()
    await bench.publish(client, _COUNT)
    await subscription.judge(extra=None)


async def _unknown(bench: Bench, client: Transport, entries: Sequence[Entry]) -> None:
    began = time.monotonic()
    outcomes = await bench.send(client, entries, seconds=_DEADLINE)
    took = time.monotonic() - began
    if took > _DEADLINE + _GRACE:
        raise RowFailed(f"a publish that nobody answers ended after {took:.1f} s, and its deadline was {_DEADLINE:g} s")
    if other := [each for each in outcomes if each.status is not Status.UNKNOWN]:
        raise RowFailed(f"nobody answered, and {len(other)} of {len(outcomes)} outcomes are known: {other[0]!r}")


async def partition_heals(bench: Bench) -> None:
    """C31."""
    subscription = bench.subscription()
    line = await bench.line()
    client = await bench.client(line.settings())
    await subscription.worker(settings=line.settings())
    for to_broker, from_broker in _WAYS:
        await bench.publish(client, _COUNT)
        line.hold(to_broker=to_broker, from_broker=from_broker)
        await _unknown(bench, client, bench.entries(_COUNT))
        await asyncio.sleep(line.silence)
        line.release()
        await bench.publish(client, _COUNT)
        await subscription.complete()
    await subscription.judge(extra=None)


async def silent_member_is_fenced(bench: Bench) -> None:
    """C32: a member that nothing was heard of for long finds its work in other hands, and can't settle it."""
    subscription = bench.subscription(prefetch=_PREFETCH)
    line = await bench.line()
    silent = await subscription.worker(hold, settings=line.settings())
    await bench.publish(await bench.client(), 3 * _PREFETCH, keys=3 * _PREFETCH)
    if not await subscription.ledger.until(lambda: len(silent.held) >= _PREFETCH, bench.rig.patience):
        raise RowFailed(f"a member whose prefetch is {_PREFETCH} was handed over {len(silent.held)}")
    line.hold(to_broker=True, from_broker=True)
    heir = await subscription.worker()
    await _inherited(bench, subscription, silent, heir)
    line.release()
    await _fenced(bench, subscription, silent)
    await subscription.judge(extra=None)


async def _inherited(bench: Bench, subscription: Subscription, silent: Worker, heir: Worker) -> None:
    theirs = {message_id_of(each) for each in silent.held}
    ledger = subscription.ledger

    def taken() -> set[str]:
        return {each.id for each in ledger.of(What.DELIVERED, member=heir.name)}

    if not await ledger.until(lambda: theirs <= taken(), bench.rig.patience):
        raise RowFailed(f"{len(theirs - taken())} messages of a member that was not heard of came to no other one")


async def _fenced(bench: Bench, subscription: Subscription, silent: Worker) -> None:
    held, silent.held = list(silent.held), []
    deadline = time.monotonic() + bench.rig.patience
    while any(each.session.alive for each in held):
        if time.monotonic() > deadline:
            raise RowFailed("a member that nothing was heard of for long takes its session for alive")
        await subscription.ledger.until(lambda: False, _LOOK_SECONDS)
    for delivery in held:
        _settle_late(silent, delivery)
    silent.become_accepting()


_LOOK_SECONDS: Final = 0.05


def _settle_late(worker: Worker, delivery: Delivery) -> None:
    try:
        delivery.accept()
    except StaleDelivery:
        worker.done(delivery)
        return
    raise RowFailed(f"{delivery!r} was settled by a member whose session was another's by then")


def _has_line(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return faults.line is not None


ROWS: Final = (
    Row(
        "C04",
        "unknown_outcome_is_reported",
        "a publish whose confirm does not come is unknown at its deadline, neither confirmed nor refused",
        _ON,
        unknown_outcome_is_reported,
        _has_line,
    ),
    Row(
        "C31",
        "partition_heals",
        "while the network is silent calls end by their deadline; afterwards everything goes on by itself",
        _ON,
        partition_heals,
        _has_line,
    ),
    Row(
        "C32",
        "silent_member_is_fenced",
        "what a member held that was not heard of comes to another, and its late settlements are errors",
        _ON,
        silent_member_is_fenced,
        _has_line,
    ),
)
