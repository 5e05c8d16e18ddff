"""An open bus on an event loop in a thread of its own, for threads that have none."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from busbridge.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from busbridge.runtime._bus import Bus

T = TypeVar("T")

_LAST_WORDS: Final = 1.0
"""Seconds for calls to take their outcome, or their ClosedError, once the bus is closed; then they are cancelled."""


@final
class Portal:
    """The thread runs from here to `close`, or to the end of the process. Raises what kept the bus from opening."""

    def __init__(self, bus: Bus[Any]) -> None:
        self.bus = bus
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._opened: Future[None] = Future()
        self._left: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="busbridge-blocking", daemon=True)
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._give_up()
            raise
        atexit.register(self.close)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it on the loop and waits. An interrupt of the waiting thread cancels it.

        ClosedError after `close`; RuntimeError on the loop's own thread, which would wait for itself for ever.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError(
                "a BlockingBus is used in its own thread, where it would wait for itself: an iterable given to "
                "publish_many is read there; if it uses the bus, give a list of what it yields"
            )
        with self._lock:
            if self._closing:
                coroutine.close()
                raise ClosedError(repr(self.bus))
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClosedError(repr(self.bus)) from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Closes the bus and ends the thread. Raises what closing raised. Once.

        In a forked child nothing: thread and connections are the parent's. That its exit handlers hold this object is
        what keeps them from being destroyed there, which some clients would wait in for threads that are not there.
        """
        if os.getpid() != self._process:
            return
        atexit.unregister(self.close)
        with self._lock:
            self._closing = True
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()
        self._left.result()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        try:
            async with self.bus:
                self._opened.set_result(None)
                await self._leave.wait()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits for it
            (self._left if self._opened.done() else self._opened).set_exception(error)
            return
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        if calls:
            await asyncio.wait(calls, timeout=_LAST_WORDS)
        self._left.set_result(None)

    def _give_up(self) -> None:
        """Undoes an opening that failed, or that its caller no longer waits for."""
        with suppress(RuntimeError):  # the loop may have ended already
            self._loop.call_soon_threadsafe(self._cancel_all)
        self._thread.join()

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
