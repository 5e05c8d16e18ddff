"""A replay run until it is done, or told to stop: what `busbridge replay` does."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from busbridge.runtime._bus import Bus
from busbridge.runtime._serve import StopSignals

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

    `told` is called with the run when it begins, every second, and at its end. `stop`, or SIGTERM or SIGINT where none
    is given, stops it gracefully: what is in flight is finished.
    """
    with ExitStack() as stack:
        stopped = stop or stack.enter_context(StopSignals()).stopped
        async with (
            Bus(service, config, consume=False, transports=transports) as bus,
            bus.replay(subscription, start=start, until=until, publish=publish, run=run) as made,
        ):
            return await _until(made, stopped, told)


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
