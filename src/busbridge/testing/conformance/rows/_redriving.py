"""Rows about dead letters in the hands of an operator."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from busbridge.errors import SourceEnded
from busbridge.retry import redrive_of, redriven_headers
from busbridge.testing.conformance._message import header_of, message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance.rows._settling import RECORD
from busbridge.transport import Again, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.testing.conformance._subscription import Subscription
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Buried, Capabilities, DeadLetters, Delivery, Redrivable

_COUNT: Final = 20
_REDRIVE: Final = "r1"


async def redrive_reaches_one(bench: Bench) -> None:
    """C37. Half of what a subscription rejected is sent again and removed; the other half is only looked at."""
    failing = bench.subscription("failing")
    others = [] if bench.place.kind.value == "queue" else [bench.subscription("healthy")]
    heard: Counter[str] = Counter()
    again: list[str] = []

    def reject(worker: Worker, delivery: Delivery) -> None:
        if redrive_of(delivery.headers):
            again.append(message_id_of(delivery))
            worker.accept(delivery)
        else:
            worker.reject(delivery, RECORD)

    def hear(worker: Worker, delivery: Delivery) -> None:
        heard[message_id_of(delivery)] += 1
        worker.accept(delivery)

    await failing.workers_with_redriven(reject)
    for other in others:
        await other.workers_with_redriven(hear)
    await bench.publish(await bench.client(), _COUNT)
    half = await _redriven_half(bench, failing)
    await _until(bench, lambda: len(again) >= len(half))
    await asyncio.sleep(bench.rig.quiet)
    _compare("was redriven and came", again, half)
    left = await _seen(bench, failing)
    if set(left) != set(_ids()) - set(half) or len(left) != _COUNT - len(half):
        raise RowFailed(f"still dead are {sorted(left)}, and {sorted(half)} were sent again and removed")
    if others:
        _compare("was heard elsewhere", list(heard.elements()), _ids())


def _ids() -> list[str]:
    """What a bench calls the first messages that it publishes."""
    return [f"m{number:05}" for number in range(1, _COUNT + 1)]


async def _redriven_half(bench: Bench, failing: Subscription) -> list[str]:
    """Sends half of the dead letters again and removes them; returns their ids."""
    place, letters = await _all(bench, failing)
    try:
        half = letters[: len(letters) // 2]
        sent = [Again(each, redriven_headers(each.headers, _REDRIVE)) for each in half]
        for outcome in await place.redrive(sent, bench.rig.patience):
            if outcome.status is not Status.CONFIRMED:
                raise RowFailed(f"a redrive that nothing speaks against ended as {outcome!r}: {outcome.error}")
        await place.remove(half)
        return [id_of(each) for each in half]
    finally:
        await place.close()


async def _all(bench: Bench, failing: Subscription) -> tuple[DeadLetters, list[Buried]]:
    """The place and its letters, once all that was rejected is there."""
    client = cast("Redrivable", await bench.client())
    async with asyncio.timeout(bench.rig.patience):
        while True:
            place = await client.dead_letters(failing.plan)
            letters = await received(place)
            if len(letters) >= _COUNT:
                return place, letters
            await place.close()
            await asyncio.sleep(bench.rig.quiet / 10)


async def _seen(bench: Bench, failing: Subscription) -> list[str]:
    place = await cast("Redrivable", await bench.client()).dead_letters(failing.plan)
    try:
        return [id_of(each) for each in await received(place)]
    finally:
        await place.close()


async def received(place: DeadLetters) -> list[Buried]:
    """All that a place still hands over."""
    letters: list[Buried] = []
    try:
        while True:
            letters += await place.receive()
    except SourceEnded:
        return letters


async def _until(bench: Bench, condition: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(bench.rig.patience):
            while not condition():  # noqa: ASYNC110 - a worker's calls have no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise RowFailed("what was redriven did not arrive") from None


def _compare(what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if Counter(found) != Counter(wanted):
        raise RowFailed(f"{sorted(found)} {what}, and not one each of {sorted(wanted)}")


def id_of(letter: Buried) -> str:
    """The id of the message that it was."""
    return header_of(letter.headers, "id") or ""


def _redrivable(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.redrive


ROWS: Final = (
    Row(
        "C37",
        "redrive_reaches_one",
        "what is redriven reaches the subscription that rejected it, once, and no other; what was only looked at stays",
        tuple(Place),
        redrive_reaches_one,
        _redrivable,
    ),
)
