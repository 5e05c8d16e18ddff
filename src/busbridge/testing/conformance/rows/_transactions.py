"""Rows about transactions: what was consumed and what was published because of it are committed together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from busbridge.errors import MessageRefused, SourceEnded
from busbridge.routing import StartAt
from busbridge.testing.conformance._message import entry_of, header_of, message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.transport import Finished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import Destination, SubscriptionPlan
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Faults
    from busbridge.transport import Capabilities, Delivery, Entry, Replayable, Transactional, TransactionalSource

_COUNT: Final = 60
_GROUP: Final = 5
_HALVES: Final = ("left", "right")


class _Scene(NamedTuple):
    """Where the halves of each message go that is taken."""

    bench: Bench
    plan: SubscriptionPlan
    halves: Destination

    def of(self, delivery: Delivery, ending: str = "") -> list[Entry]:
        """Both halves of a message."""
        ids = (f"{message_id_of(delivery)}-{half}{ending}" for half in _HALVES)
        return [entry_of(self.halves, self.bench.prefix, each) for each in ids]


async def transaction_all_or_nothing(bench: Bench) -> None:
    """C34, by a member that is refused one transaction and leaves in the middle, and another that goes on."""
    scene = _Scene(
        bench, bench.subscription("halving", exactly_once=True).plan, bench.add(bench.new_destination("halves"))
    )
    client = cast("Transactional", await bench.client())
    await bench.publish(client, _COUNT)
    source = await client.subscribe_transactional(scene.plan)
    held = await _some(bench, source, _COUNT // 2)
    *groups, refused, in_hand = [held[begin : begin + _GROUP] for begin in range(0, len(held), _GROUP)]
    for group in groups:
        await source.commit([Finished(each, scene.of(each)) for each in group])
    await _is_refused(scene, source, refused)
    await _must_be(scene, [each for group in groups for each in group])
    await source.commit([Finished(each, scene.of(each)) for each in refused])
    await source.close()
    await _the_rest(scene, _COUNT - len(held) + len(in_hand))


async def _is_refused(scene: _Scene, source: TransactionalSource, group: Sequence[Delivery]) -> None:
    """One of the entries can't be published: then none is, and no message is settled."""
    finished = [Finished(each, scene.of(each, "-of-a-refused-transaction")) for each in group]
    huge = entry_of(scene.halves, scene.bench.prefix, "huge", body=b"x" * scene.bench.rig.too_large)
    try:
        await source.commit([*finished[:-1], finished[-1]._replace(entries=[*finished[-1].entries, huge])])
    except MessageRefused:
        return
    raise RowFailed("a transaction was committed with an entry that can't be published")


async def _the_rest(scene: _Scene, count: int) -> None:
    """Another process is handed everything that was not committed, and nothing else."""
    client = cast("Transactional", await scene.bench.client())
    source = await client.subscribe_transactional(scene.plan)
    taken = await _some(scene.bench, source, count)
    await source.commit([Finished(each, scene.of(each)) for each in taken])
    source.drain()
    try:
        async with asyncio.timeout(scene.bench.rig.patience):
            taken = list(await source.receive())
    except SourceEnded:
        taken = []
    if taken:
        raise RowFailed(f"{len(taken)} messages came again that were settled in a transaction")
    await _must_be_all(scene)


async def _some(bench: Bench, source: TransactionalSource, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    try:
        async with asyncio.timeout(bench.rig.patience):
            while len(found) < count:
                found += await source.receive()
    except TimeoutError:
        raise RowFailed(f"{len(found)} messages came, and there should be {count}") from None
    return found


async def _must_be(scene: _Scene, committed: Sequence[Delivery]) -> None:
    await _compare(scene, Counter(f"{message_id_of(each)}-{half}" for each in committed for half in _HALVES))


async def _must_be_all(scene: _Scene) -> None:
    await _compare(scene, Counter(f"m{number:05}-{half}" for number in range(1, _COUNT + 1) for half in _HALVES))


async def _compare(scene: _Scene, wanted: Counter[str]) -> None:
    """Reads what everybody sees by now."""
    client = cast("Replayable", await scene.bench.client())
    history = await client.read(scene.halves, StartAt("earliest"), "now")
    found: Counter[str] = Counter()
    try:
        async with asyncio.timeout(scene.bench.rig.patience):
            while True:
                found.update(header_of(each.headers, "id") or "" for each in await history.receive())
    except SourceEnded:
        await history.close()
    if missing := sorted((wanted - found).elements()):
        raise RowFailed(f"{len(missing)} messages of committed transactions are missing: {missing[:3]}")
    if beyond := sorted((found - wanted).elements()):
        raise RowFailed(
            f"{len(beyond)} messages are there that no transaction, or another one, committed: {beyond[:3]}"
        )


def _transactional(capabilities: Capabilities, _: Faults) -> bool:
    return capabilities.transactions and capabilities.replayable


ROWS: Final = (
    Row(
        "C34",
        "transaction_all_or_nothing",
        "what was consumed, and what was published because of it, is committed together or not at all",
        (Place.STREAM,),
        transaction_all_or_nothing,
        _transactional,
    ),
)
