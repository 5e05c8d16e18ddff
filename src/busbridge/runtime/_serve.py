"""Services until they are told to stop: what `busbridge run` does."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from busbridge.runtime._bus import Bus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import Config
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports

_log = logging.getLogger("busbridge.serve")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(
    services: Sequence[Service[Any]],
    config: Config,
    *,
    transports: Transports | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Opens a bus for each service and serves until `stop` is set, or SIGTERM or SIGINT where none is given.

    Stops gracefully: takes nothing more, finishes what is in flight within the configured grace, publishes, settles,
    leaves. A second signal ends the process at once. Raises what kept a bus from opening, or stopped a subscription.
    """
    async with AsyncExitStack() as stack:
        stopped = stop or stack.enter_context(_StopSignals()).stopped
        buses = [await _opened(stack, service, config, transports, stopped) for service in services]
        if not stopped.is_set():
            _log.info("serving: %s", ", ".join(service.name for service in services))
            await _until(stopped, buses)
            _log.info("stopping")


async def _opened(
    stack: AsyncExitStack, service: Service[Any], config: Config, transports: Transports | None, stopped: asyncio.Event
) -> Bus[Any] | None:
    """An open bus, unless the stop came first: a broker that is down must not make a service unstoppable."""
    bus = Bus(service, config, transports=transports)
    opening = asyncio.ensure_future(stack.enter_async_context(bus))
    stopping = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not opening.done():
            opening.cancel()
    await asyncio.wait({opening})
    return None if opening.cancelled() else opening.result()


async def _until(stopped: asyncio.Event, buses: Sequence[Bus[Any] | None]) -> None:
    tasks = [asyncio.ensure_future(each.serve()) for each in buses if each is not None]
    tasks.append(asyncio.ensure_future(stopped.wait()))  # type: ignore[arg-type]  # True when it ends, nobody looks
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _StopSignals:
    """Sets `stopped` at the first SIGTERM or SIGINT; the second one acts as it would have without us."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        for each in _SIGNALS:
            self._loop.add_signal_handler(each, self._stop, each)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _stop(self, signum: signal.Signals) -> None:
        _log.info("%s: stopping; a second one stops at once", signum.name)
        self._restore()
        self.stopped.set()

    def _restore(self) -> None:
        for each in _SIGNALS:
            self._loop.remove_signal_handler(each)
