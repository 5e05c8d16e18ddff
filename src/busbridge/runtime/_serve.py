"""Services until they are told to stop: what `busbridge run` does."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, final

from busbridge.errors import ConfigurationError, Fault
from busbridge.runtime._bus import Bus, relay_of
from busbridge.runtime._startup import joined
from busbridge.runtime._transports import InstalledTransports

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from types import FrameType

    from busbridge.routing import Config, Source
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports

_log = logging.getLogger("busbridge.serve")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(
    services: Sequence[Service[Any]],
    config: Source | Iterable[Source],
    *,
    transports: Transports | None = None,
    stop: asyncio.Event | None = None,
    relay: bool = True,
    opened: Callable[[], None] | None = None,
) -> None:
    """Opens a bus for each service and serves until `stop` is set, or SIGTERM or SIGINT where none is given.

    `relay=False` leaves the outboxes to `busbridge relay`. `opened` is called once, when all of them are open.

    Raises ConfigurationError with every fault of `config`, as `Bus` takes it, and of all services, before any opens;
    also where two of them have one name.
    Stops all of them together, gracefully: takes nothing more, finishes what is in flight within the configured grace,
    publishes, settles, leaves. A stop while opening, waiting for a broker say, undoes what was opened. A second signal
    ends the process at once. Raises what kept a bus from opening, or stopped a subscription, after the others stopped.
    """
    transports = transports or InstalledTransports()
    loaded = joined(services, config, transports)
    await _live([Bus(each, loaded, relay=relay, transports=transports) for each in services], stop, opened)


async def relay(
    services: Sequence[Service[Any]],
    config: Source | Iterable[Source],
    *,
    transports: Transports | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Publishes what is in the services' outboxes, and nothing else, until it is told to stop. As `serve`.

    Any number of processes may do it, beside those that serve. ConfigurationError for a service without a store.
    """
    transports = transports or InstalledTransports()
    loaded = joined(services, config, transports)
    if without := [each.name for each in services if not _has_store(each, loaded)]:
        raise ConfigurationError([_no_store(name, loaded) for name in without])
    await _live([relay_of(each, loaded, transports) for each in services], stop)


def _has_store(service: Service[Any], config: Config) -> bool:
    plan = config.services.get(service.name)
    return plan is not None and plan.store is not None


def _no_store(service: str, config: Config) -> Fault:
    problem = f"service {service!r} has no store, and so no outbox to publish"
    return Fault(problem, config.locate(("services", service)), f"add services.{service}.store")


async def _live(
    buses: Sequence[Bus[Any]], stop: asyncio.Event | None, opened: Callable[[], None] | None = None
) -> None:
    with ExitStack() as stack:
        stopped = stop or stack.enter_context(StopSignals()).stopped
        lives = _Lives(buses, opened)
        try:
            await lives.until(stopped)
        finally:
            await lives.end()
    lives.raise_failure()


@final
class _Lives:
    """Buses, each from opening to leaving in one task of its own: the cancel scopes of a lifespan need that."""

    def __init__(self, buses: Sequence[Bus[Any]], opened: Callable[[], None] | None) -> None:
        self._all_open = opened
        self._ending = asyncio.Event()
        self._opened: list[Bus[Any]] = []
        self._tasks = {bus: asyncio.create_task(self._live(bus)) for bus in buses}

    async def _live(self, bus: Bus[Any]) -> None:
        async with bus:
            self._opened.append(bus)
            if len(self._opened) == len(self._tasks):
                if self._all_open is not None:
                    self._all_open()
                _log.info("serving: %s", ", ".join(each.service.name for each in self._tasks))
            await _either(bus.serve(), self._ending.wait())

    async def until(self, stopped: asyncio.Event) -> None:
        """Waits for `stopped`, or until one of them has ended by itself."""
        await _either(stopped.wait(), asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED))

    async def end(self) -> None:
        """Stops those that are open, gives up those that are still opening, and waits until all have ended."""
        if self._opened:
            _log.info("stopping")
        self._ending.set()
        for bus, task in self._tasks.items():
            if bus not in self._opened:
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def raise_failure(self) -> None:
        """Raises what the first of them failed with; the others' failures are logged."""
        failures = [error for task in self._tasks.values() if not task.cancelled() and (error := task.exception())]
        for error in failures[1:]:
            _log.error("another service failed as well: %s", error)
        if failures:
            raise failures[0]


async def _either(one: Coroutine[Any, Any, object], other: Coroutine[Any, Any, object]) -> None:
    """Waits until one of the two ends; raises what it failed with."""
    tasks = [asyncio.create_task(one), asyncio.create_task(other)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class StopSignals:
    """Sets `stopped` at the first SIGTERM or SIGINT; the second one kills the process, whatever hangs in it.

    Also where a handler blocks the event loop, which then hears of the first only afterwards. A call into C that never
    returns keeps both from being heard. Entering raises RuntimeError in any thread but the main one.
    """

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._before = {each: signal.getsignal(each) or signal.SIG_DFL for each in _SIGNALS}

    def __enter__(self) -> Self:
        for each in _SIGNALS:
            self._loop.add_signal_handler(each, self._stop, each)  # so that a signal wakes the loop
            signal.signal(each, self._caught)  # and this one is called while the loop does not turn
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            self._loop.remove_signal_handler(each)
            signal.signal(each, handler)

    def _caught(self, signum: int, _frame: FrameType | None) -> None:
        """Between two lines of whatever runs: it may write to a log, so it is no place to write to one."""
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # not Python's interrupt, which would wait for threads
        self._loop.call_soon_threadsafe(self._stop, signal.Signals(signum))

    def _stop(self, signum: signal.Signals) -> None:
        if not self.stopped.is_set():
            _log.info("%s: stopping; a second one stops at once", signum.name)
            self.stopped.set()
