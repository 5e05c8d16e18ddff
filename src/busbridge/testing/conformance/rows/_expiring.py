"""Rows about what nobody reads in time."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from busbridge.retry import read_record
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance.rows._redriving import id_of, received
from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.transport import Buried, Capabilities, Entry, Redrivable, Transport

_COUNT: Final = 20
_LIVES: Final = 5
"""How long a message lives, in the rig's quiet times: long enough for a reader who is there."""
_EXPIRED: Final = "expired"


async def expired_is_a_dead_letter(bench: Bench) -> None:
    """C26, of a queue's `ttl`: messages come while nobody is there, and others to a reader who comes too late."""
    lifetime = _LIVES * bench.rig.quiet
    short = bench.add(bench.new_destination("short-lived", ttl=timedelta(seconds=lifetime)))
    subscription = bench.subscription(destination=short)
    client = await bench.client()
    late = bench.entries(_COUNT, destination=short)
    await _publish(bench, client, late)
    await asyncio.sleep(lifetime)
    await subscription.worker()  # what it is handed of these, nobody has published, says its ledger
    await bench.send(client, bench.entries(_COUNT, destination=short))
    await subscription.judge()
    await _all_dead(bench, subscription, [f"m{number:05}" for number in range(1, len(late) + 1)])


async def _publish(bench: Bench, client: Transport, entries: Sequence[Entry]) -> None:
    """Past the ledger, which is of what must arrive."""
    for outcome in await client.publish(entries, bench.rig.patience):
        if outcome.status is not Status.CONFIRMED:
            raise RowFailed(f"a publish that nothing speaks against ended as {outcome!r}: {outcome.error}")


async def _all_dead(bench: Bench, subscription: Subscription, wanted: Sequence[str]) -> None:
    """Waits until these are dead letters, each once, and no other is."""
    client = cast("Redrivable", await bench.client())
    deadline = asyncio.get_running_loop().time() + bench.rig.patience
    letters = await _seen(client, subscription)
    while Counter(map(id_of, letters)) != Counter(wanted):
        if asyncio.get_running_loop().time() > deadline:
            raise RowFailed(f"{sorted(map(id_of, letters))} are dead letters, and not one each of {sorted(wanted)}")
        await asyncio.sleep(bench.rig.quiet / 10)
        letters = await _seen(client, subscription)
    for letter in letters:
        if (reason := read_record(letter.body, letter.headers).reason) != _EXPIRED:
            raise RowFailed(f"{id_of(letter)} has expired, and its dead letter says {reason!r}")


async def _seen(client: Redrivable, subscription: Subscription) -> list[Buried]:
    place = await client.dead_letters(subscription.plan)
    try:
        return await received(place)
    finally:
        await place.close()


def _expires(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.ttl and capabilities.redrive


ROWS: Final = (
    Row(
        "C26",
        "expired_is_a_dead_letter",
        "what nobody read in time is handed to nobody, and is a dead letter that says so; what was read in time is not",
        (Place.QUEUE,),
        expired_is_a_dead_letter,
        _expires,
    ),
)
