"""A bus for synchronous code: a web application under gunicorn, a Celery task, a script."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar, final

from busbridge.errors import ClosedError
from busbridge.runtime._bus import Bus

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from busbridge.contract import Contract
    from busbridge.routing import Source
    from busbridge.runtime._outcomes import PublishError
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports

T = TypeVar("T")


@final
class BlockingBus:
    """Publishes from threads. Does not run the service's subscriptions: `busbridge run` does.

    Opened on first use, per process: made before a fork (gunicorn's preload, Celery's prefork) it opens a connection of
    its own in each child. Thread-safe. Its event loop runs in one daemon thread; `close`, or the end of the process,
    flushes and ends it. The methods block, and raise, as those of `Bus`.
    """

    def __init__(
        self,
        service: Service[Any],
        config: Source | Iterable[Source] = "busbridge.yaml",
        *,
        transports: Transports | None = None,
    ) -> None:
        self.service = service
        self._config = config
        self._transports = transports
        self._lock = threading.Lock()
        self._portal: _Portal | None = None
        self._closed = False
        os.register_at_fork(after_in_child=self._forget)

    def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """As `Bus.publish`."""
        portal = self._opened()
        return portal.call(
            portal.bus.publish(message, message_id=message_id, correlation_id=correlation_id, headers=headers)
        )

    def publish_many(
        self,
        messages: Iterable[Contract],
        *,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """As `Bus.publish_many`. The iterable is read in the bus's own thread."""
        portal = self._opened()
        return portal.call(portal.bus.publish_many(messages, correlation_id=correlation_id, headers=headers))

    def resend(self, error: PublishError) -> None:
        """As `Bus.resend`."""
        portal = self._opened()
        portal.call(portal.bus.resend(error))

    def close(self) -> None:
        """Waits for what is being published, disconnects, ends the thread. Twice is fine; use after it: ClosedError."""
        with self._lock:
            portal, self._portal = self._portal, None
            self._closed = True
        if portal is not None:
            portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> _Portal:
        with self._lock:
            if self._closed:
                raise ClosedError(repr(self))
            if self._portal is None:
                self._portal = _Portal(Bus(self.service, self._config, consume=False, transports=self._transports))
            return self._portal

    def _forget(self) -> None:
        """In a forked child the parent's thread and connections are not ours: neither used nor closed."""
        self._lock = threading.Lock()
        self._portal = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._portal else "not yet open"
        return f"<BlockingBus of {self.service.name!r}, {state}>"


@final
class _Portal:
    """An event loop in a thread, with an open bus in it."""

    def __init__(self, bus: Bus[Any]) -> None:
        self.bus = bus
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="busbridge-blocking", daemon=True)
        self._thread.start()
        try:
            self.call(bus.__aenter__())
        except BaseException:
            self._end()
            raise
        atexit.register(self.close)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it on the loop and waits. An interrupt of the waiting thread cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Closes the bus and ends the thread."""
        atexit.unregister(self.close)
        try:
            self.call(self.bus.__aexit__(None, None, None))
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
