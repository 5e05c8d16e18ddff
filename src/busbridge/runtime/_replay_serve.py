"""A replay run until it is done, or told to stop: what `busbridge replay` does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from busbridge.runtime._bus import Bus
from busbridge.runtime._serve import StopSignals
from busbridge.runtime._startup import joined
from busbridge.runtime._transports import InstalledTransports
from busbridge.runtime.replays._replaying import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from busbridge.routing import Source
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.replays._read import Start
    from busbridge.runtime.replays._replay import Replay
    from busbridge.runtime.replays._replaying import Publish
    from busbridge.transport import Until

_TOLD_EVERY: Final = 1.0


async def replay(
    service: Service[Any],
    config: Source | Iterable[Source],
    subscription: str,
    told: Callable[[Replay], None],
    *,
    start: Start = "earliest",
    until: Until = "now",
    publish: Publish | None = None,
    run: str | None = None,
    transports: Transports | None = None,
    stop: asyncio.Event | None = None,
) -> bool:
    """Opens a bus that takes no subscription and makes a run, as `Bus.replay` does and raises. Whether it is done.

    What is asked for is checked before anything connects. `told` is called with the run when it begins, every second,
    and at its end. `stop`, or SIGTERM or SIGINT where none is given, stops it gracefully: what is in flight is
    finished. A stop before it has begun, while it waits for a broker say, undoes what was opened.
    """
    transports = transports or InstalledTransports()
    loaded = joined([service], config, transports)
    asked(service.name, loaded, transports, subscription, start, until, publish, run)
    bus = Bus(service, loaded, consume=False, transports=transports)
    with ExitStack() as signals:
        stopped = stop or signals.enter_context(StopSignals()).stopped
        async with AsyncExitStack() as stack:
            begin = partial(bus.replay, subscription, start=start, until=until, publish=publish, run=run)
            made = await _begun(stack, bus, begin, stopped)
            return made is not None and await _until(made, stopped, told)


async def _begun(
    stack: AsyncExitStack, bus: Bus[Any], begin: Callable[[], Replay], stopped: asyncio.Event
) -> Replay | None:
    """Opens the bus and begins the run, in the task that will leave them. None: it was stopped before."""
    opening = asyncio.timeout(None)
    try:
        async with opening:
            stopping = asyncio.create_task(_cut_short(opening, stopped))
            try:
                await stack.enter_async_context(bus)
                return await stack.enter_async_context(begin())
            finally:
                stopping.cancel()
    except TimeoutError:
        if not opening.expired():
            raise
        return None


async def _cut_short(opening: asyncio.Timeout, stopped: asyncio.Event) -> None:
    await stopped.wait()
    opening.reschedule(asyncio.get_running_loop().time())


async def _until(made: Replay, stopped: asyncio.Event, told: Callable[[Replay], None]) -> bool:
    finished, stopping = asyncio.create_task(made.finished()), asyncio.create_task(stopped.wait())
    try:
        while not (finished.done() or stopping.done()):
            told(made)
            await asyncio.wait([finished, stopping], timeout=_TOLD_EVERY, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not finished.done():
            finished.cancel()
        await asyncio.wait([finished, stopping])
    told(made)
    if finished.cancelled():
        return False
    finished.result()
    return True
