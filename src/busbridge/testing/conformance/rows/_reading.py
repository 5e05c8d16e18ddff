"""Rows about reading a stream without a subscription."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from busbridge.errors import ClosedError, SourceEnded
from busbridge.routing import StartAt
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import header_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.transport import Capabilities, Entry, History, Kept, Position, Replayable, Until

_EARLIEST: Final = StartAt("earliest")
_OFFSET: Final = 3
_MILLISECOND: Final = 0.005
"""Times in a stream are kept in milliseconds: what is meant to lie before or after must lie further away."""


async def read_history(bench: Bench) -> None:
    """C25, by a reader: each partition in its order, bodies and headers as they were, to the end there was."""
    client = await _reader(bench)
    published = await _publish(bench, client, 60)
    history = await client.read(bench.destination, _EARLIEST, "now")
    await _publish(bench, client, 20)
    found = await _to_the_end(bench, history)
    _same(published, found, "from earliest until now")
    if history.remaining != 0:
        raise RowFailed(f"everything was read, and {history.remaining} are said to remain")


async def read_from_and_until(bench: Bench) -> None:
    """C25, by a reader: from an offset, between two times, and from the end."""
    client = await _reader(bench)
    early = await _publish(bench, client, 40)
    noon = await _moment()
    middle = await _publish(bench, client, 40)
    late = await _moment()
    rest = await _publish(bench, client, 40)
    everything = early | middle | rest
    beyond = {position: entry for position, entry in everything.items() if position.offset >= _OFFSET}
    _same(beyond, await _read(bench, client, StartAt(_OFFSET), "now"), f"from offset {_OFFSET}")
    _same(middle, await _read(bench, client, StartAt(noon), late), "between two times")
    _same(rest, await _read(bench, client, StartAt(late), None, len(rest)), "from a time on")
    _same({}, await _read(bench, client, StartAt("latest"), "now"), "from latest until now")


async def read_follows(bench: Bench) -> None:
    """A reader without an end is handed what is published next; a wait that was cancelled has lost nothing."""
    client = await _reader(bench)
    await _publish(bench, client, 20)
    history = await client.read(bench.destination, StartAt("latest"), None)
    waiting = asyncio.ensure_future(history.receive())
    await asyncio.sleep(bench.rig.quiet)
    waiting.cancel()
    await asyncio.wait([waiting])
    published = await _publish(bench, client, 40)
    _same(published, await _some(bench, history, len(published)), "without an end")
    blocked = asyncio.ensure_future(history.receive())
    await asyncio.sleep(0)
    await history.close()
    await _is_closed(bench, blocked)


async def read_moves_nobody(bench: Bench) -> None:
    """A reader is in no group: a subscription gets everything, however much was read, before it began and after."""
    subscription = bench.subscription()
    client = await _reader(bench)
    await bench.publish(client, 40)
    await _to_the_end(bench, await client.read(bench.destination, _EARLIEST, "now"))
    await subscription.worker()
    await bench.publish(client, 40)
    found = await _to_the_end(bench, await client.read(bench.destination, _EARLIEST, "now"))
    await subscription.judge()
    handled = {each.id for each in subscription.ledger.of(What.DELIVERED)}
    if missing := handled - {_id(each) for each in found}:
        raise RowFailed(f"the subscription was handed {len(missing)} messages that a reader has not found")


async def _reader(bench: Bench) -> Replayable:
    return cast("Replayable", await bench.client())


async def _publish(bench: Bench, client: Replayable, count: int) -> dict[Position, Entry]:
    entries = bench.entries(count * bench.rig.scale)
    outcomes = await bench.send(client, entries)
    positions = [each.position for each in outcomes]
    if None in positions:
        raise RowFailed("a publish to a stream was not confirmed with its position")
    return dict(zip(cast("list[Position]", positions), entries, strict=True))


async def _moment() -> datetime:
    await asyncio.sleep(_MILLISECOND)
    now = datetime.now(UTC)
    await asyncio.sleep(_MILLISECOND)
    return now


async def _read(bench: Bench, client: Replayable, start: StartAt, until: Until, count: int | None = None) -> list[Kept]:
    history = await client.read(bench.destination, start, until)
    return await (_to_the_end(bench, history) if count is None else _some(bench, history, count))


async def _to_the_end(bench: Bench, history: History) -> list[Kept]:
    found: list[Kept] = []
    try:
        async with asyncio.timeout(bench.rig.patience):
            while True:
                found += await history.receive()
    except SourceEnded:
        return found
    except TimeoutError:
        raise RowFailed(f"reading did not come to its end; it has found {len(found)} messages") from None
    finally:
        await history.close()


async def _some(bench: Bench, history: History, count: int) -> list[Kept]:
    found: list[Kept] = []
    try:
        async with asyncio.timeout(bench.rig.patience):
            while len(found) < count:
                found += await history.receive()
    except TimeoutError:
        raise RowFailed(f"of {count} messages a reader has found {len(found)}") from None
    return found


async def _is_closed(bench: Bench, blocked: asyncio.Future[Sequence[Kept]]) -> None:
    await asyncio.wait([blocked], timeout=bench.rig.patience)
    if not blocked.done() or not isinstance(blocked.exception(), ClosedError):
        blocked.cancel()
        raise RowFailed("closing did not end a blocked receive with ClosedError")


def _same(published: dict[Position, Entry], found: Sequence[Kept], what: str) -> None:
    """Raises RowFailed unless exactly these were read, each partition in the order of its offsets, as they were."""
    positions = [each.position for each in found]
    if sorted(positions) != sorted(published):
        missing, extra = len({*published} - {*positions}), len(positions) - len({*published} & {*positions})
        raise RowFailed(f"{what}: of {len(published)} messages {missing} are missing, and {extra} are too many")
    for partition in {each.partition for each in positions}:
        offsets = [each.offset for each in positions if each.partition == partition]
        if offsets != sorted(offsets):
            raise RowFailed(f"{what}: partition {partition} was read in another order than it was written")
    for each in found:
        if each.body != published[each.position].body or _id(each) != _id(published[each.position]):
            raise RowFailed(f"{what}: {each!r} is another message than the one that was published there")


def _id(message: Kept | Entry) -> str:
    return header_of(message.headers, "id") or ""


def _replayable(capabilities: Capabilities, faults: Faults) -> bool:  # noqa: ARG001 - a need
    return capabilities.replayable


ROWS: Final = (
    Row(
        "C25",
        "read_history",
        "a reader without a subscription sees the history in order per partition, up to the end there was",
        (Place.STREAM,),
        read_history,
        _replayable,
    ),
    Row(
        "C25",
        "read_from_and_until",
        "it begins at an offset or a time, and ends before a time",
        (Place.STREAM,),
        read_from_and_until,
        _replayable,
    ),
    Row(
        "C25",
        "read_follows",
        "without an end it goes on with what is published next; cancelling a wait loses nothing, closing wakes it",
        (Place.STREAM,),
        read_follows,
        _replayable,
    ),
    Row(
        "C25",
        "read_moves_nobody",
        "reading changes nothing for a subscription: it still gets everything",
        (Place.STREAM,),
        read_moves_nobody,
        _replayable,
    ),
)
