"""Rows about endings: of a client, of a service that stops, of a broker that restarts, of what is removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busbridge.errors import ClosedError, SourceEnded, TopologyMismatch
from busbridge.routing import Topology
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed
from busbridge.testing.conformance._worker import slowly
from busbridge.testing.conformance.rows._order import delivered, under_load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge.testing.conformance._bench import Bench
    from busbridge.transport import Transport

_HANDLING: Final = 0.002


async def close_is_final(bench: Bench) -> None:
    """C27. That nothing is left behind is checked after this row as after every other."""
    subscription = bench.subscription()
    client = await bench.client()
    source = await client.subscribe(subscription.plan)
    blocked = asyncio.create_task(_ending(source.receive()))
    await bench.publish(client, 0)
    await asyncio.sleep(0)
    await source.close()
    await source.close()
    await _expect(ClosedError, blocked, "a receive that waited when its source was closed")
    await _expect(ClosedError, _ending(source.receive()), "receive after close")
    await _expect(SourceEnded, _drained(bench, client), "receive after drain")
    second = await client.subscribe(subscription.plan)
    waiting = asyncio.create_task(_ending(second.receive()))
    await asyncio.sleep(0)
    publishing = asyncio.create_task(client.publish(bench.entries(20), bench.rig.patience))
    await asyncio.sleep(0)
    await client.close()
    await client.close()
    await asyncio.wait_for(asyncio.gather(publishing, return_exceptions=True), bench.rig.patience)
    await _expect(ClosedError, waiting, "a receive that waited when its transport was closed", delivered_before=True)
    await _expect(ClosedError, _ending(client.publish(bench.entries(1), 1.0)), "publish after close")
    await _expect(ClosedError, _ending(client.subscribe(subscription.plan)), "subscribe after close")
    fresh = await bench.client()
    await bench.publish(fresh, 5)
    await subscription.worker()
    await subscription.complete()


async def _drained(bench: Bench, client: Transport) -> BaseException | None:
    source = await client.subscribe(bench.subscriptions[0].plan)
    source.drain()
    ended = await _ending(source.receive())
    await source.close()
    return ended


async def _ending(awaitable: Awaitable[object]) -> Exception | None:
    try:
        await awaitable
    except (ClosedError, SourceEnded) as error:
        return error
    return None


async def _expect(
    error: type[Exception], ending: Awaitable[object], what: str, *, delivered_before: bool = False
) -> None:
    try:
        found = await asyncio.wait_for(ending, _WAKE_SECONDS)
    except TimeoutError:
        raise RowFailed(f"{what} did not end in {_WAKE_SECONDS:g} s") from None
    if not isinstance(found, error) and not (delivered_before and found is None):
        raise RowFailed(f"{what} should raise {error.__name__}, and {f'raised {found!r}' if found else 'did not'}")


_WAKE_SECONDS: Final = 10.0


async def graceful_stop_drains(bench: Bench) -> None:
    """C28, of a source."""
    subscription = bench.subscription(prefetch=20)
    client = await bench.client()
    worker = await subscription.worker(slowly(_HANDLING))
    await under_load(bench, client, subscription, worker.stop)
    count = len(subscription.ledger.of(What.DELIVERED))
    await subscription.worker()
    await subscription.judge()
    if count == len(subscription.ledger.confirmed):
        raise RowFailed("the row is not sharp: everything was handled before the stop")


async def confirmed_is_durable(bench: Bench) -> None:
    """C02."""
    kill = bench.rig.faults.kill
    assert kill is not None, "the row needs it"
    await _nothing_is_lost(bench, kill, publishers=10)


async def restart_under_load(bench: Bench) -> None:
    """C30."""
    restart = bench.rig.faults.restart
    assert restart is not None, "the row needs it"
    await _nothing_is_lost(bench, restart, publishers=4)


async def _nothing_is_lost(bench: Bench, fault: Callable[[], Awaitable[None]], publishers: int) -> None:
    """Though the broker suffers the fault twice while it is published to and read from."""
    subscription = bench.subscription()
    clients = [await bench.client() for _ in range(publishers)]
    await subscription.worker()
    size = 200 * bench.rig.scale
    for _ in range(2):
        publishing = [asyncio.create_task(_keep_publishing(bench, each, size)) for each in clients]
        await delivered(bench, subscription, len(subscription.ledger.seen) + size // 4)
        await fault()
        await asyncio.gather(*publishing)
    await subscription.judge(extra=None)


async def _keep_publishing(bench: Bench, client: Transport, count: int) -> None:
    for _ in range(count // 20):
        await bench.send(client, bench.entries(20))
        await asyncio.sleep(_PACE)


_PACE: Final = 0.01
"""Seconds between batches, so that the restart falls among them."""


async def removed_is_gone(bench: Bench) -> None:
    """C36. What was there before is not in the ledger: seeing it again fails the row."""
    subscription = bench.subscription()
    client = await bench.client()
    await _leave_something(bench, client)
    theirs = Topology((replace(bench.destination, provision=False),))
    await client.remove(theirs)
    if not await _exists(client, theirs):
        raise RowFailed("what may not be created was removed all the same")
    await client.remove(bench.topology)
    await client.remove(bench.topology)
    if await _exists(client, theirs):
        raise RowFailed("what was removed is still there")
    await bench.publish(await bench.client(), 20)
    await subscription.worker()
    await subscription.judge()
    if dead := await bench.rig.dead_letters(subscription.plan):
        raise RowFailed(f"{len(dead)} dead letters outlived the removal")


async def _leave_something(bench: Bench, client: Transport) -> None:
    """Dead letters, then messages that nobody has read."""
    await client.publish(bench.entries(20), bench.rig.patience)
    source = await client.subscribe(bench.subscriptions[0].plan)
    for delivery in await source.receive():
        delivery.reject(())
    await source.flush(bench.rig.patience)
    await source.close()
    await client.publish(bench.entries(20), bench.rig.patience)


async def _exists(client: Transport, topology: Topology) -> bool:
    try:
        await client.provision(topology)
    except TopologyMismatch:
        return False
    return True


ROWS: Final = (
    Row(
        "C02",
        "confirmed_is_durable",
        "nothing confirmed is lost when the broker is killed, though it is published to by many",
        tuple(Place),
        confirmed_is_durable,
        lambda capabilities, faults: capabilities.survives_restart and faults.kill is not None,
    ),
    Row(
        "C27",
        "close_is_final",
        "closing twice is fine, what waits wakes up, use after close is an error, nothing is left",
        tuple(Place),
        close_is_final,
    ),
    Row(
        "C28",
        "graceful_stop_drains",
        "a source that is drained and closed loses nothing and brings nothing twice",
        tuple(Place),
        graceful_stop_drains,
    ),
    Row(
        "C30",
        "restart_under_load",
        "nothing confirmed is lost when the broker restarts, and no client is restarted",
        tuple(Place),
        restart_under_load,
        lambda capabilities, faults: capabilities.survives_restart and faults.restart is not None,
    ),
    Row(
        "C36",
        "removed_is_gone",
        "what is removed is gone with its messages and dead letters; removing twice is fine, what is not ours stays",
        tuple(Place),
        removed_is_gone,
    ),
)
