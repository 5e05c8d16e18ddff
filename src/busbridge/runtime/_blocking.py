"""A bus for synchronous code: a web application under gunicorn, a Celery task, a script."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

from busbridge.errors import ClosedError
from busbridge.runtime._bus import Bus, outbox_of
from busbridge.runtime._portal import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from types import TracebackType
    from typing import Self

    from sqlalchemy.orm import Session

    from busbridge.contract import Contract
    from busbridge.routing import Source
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.publishing._collected import Collected
    from busbridge.runtime.publishing._django import DjangoConnection
    from busbridge.runtime.publishing._outcomes import PublishError
    from busbridge.runtime.publishing._scheduled import Scheduled
    from busbridge.runtime.replays._read import C, OnInvalid, Start, StreamMessage, StreamReader
    from busbridge.transport import Until


@final
class BlockingBus:
    """Publishes from threads. Does not run the service's subscriptions: `busbridge run` does.

    Opened on first use, per process: made before a fork (gunicorn's preload, Celery's prefork) it opens a connection of
    its own in each child. Thread-safe. Its event loop runs in one daemon thread; `close`, or the end of the process,
    flushes and ends it; a call that it meets ends with its outcome or with ClosedError. The methods block, and raise,
    as those of `Bus`.
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
        self._portal: Portal | None = None
        self._closed = False
        _at_fork(weakref.WeakMethod(self._forget))

    def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        """As `Bus.publish`."""
        portal = self._opened()
        return portal.call(
            portal.bus.publish(
                message, message_id=message_id, correlation_id=correlation_id, headers=headers, delay=delay, at=at
            )
        )

    def cancel(self, message_id: str) -> bool:
        """As `Bus.cancel`."""
        portal = self._opened()
        return portal.call(portal.bus.cancel(message_id))

    def scheduled(self, *, limit: int = 1000) -> list[Scheduled]:
        """As `Bus.scheduled`."""
        portal = self._opened()
        return portal.call(portal.bus.scheduled(limit=limit))

    def publish_many(
        self,
        messages: Iterable[Contract],
        *,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """As `Bus.publish_many`. The iterable is read in the bus's own thread: RuntimeError if it uses the bus."""
        portal = self._opened()
        return portal.call(portal.bus.publish_many(messages, correlation_id=correlation_id, headers=headers))

    def resend(self, error: PublishError) -> None:
        """As `Bus.resend`."""
        portal = self._opened()
        portal.call(portal.bus.resend(error))

    @contextmanager
    def transaction(self) -> Generator[Collected]:
        """Publishes several messages or none: they are committed to the service's outbox when the block ends.

        Nothing is in the database before. There is no connection in it: the store's own are asynchronous. Rows of your
        own are written through yours, with `outbox`. Raises as `Bus.transaction`.
        """
        portal = self._opened()
        outbox = outbox_of(portal.bus)
        with outbox.collect().block() as collected:
            yield collected
            portal.call(outbox.commit(collected))

    def outbox(self, session: Session | DjangoConnection) -> AbstractContextManager[Collected]:
        """As `Bus.outbox`, with a Session or with Django's connection."""
        return self._opened().bus.outbox(session)

    def read(
        self,
        destination: str,
        contract: type[C],
        *,
        start: Start = "earliest",
        until: Until = "now",
        on_invalid: OnInvalid = "raise",
    ) -> Iterator[StreamMessage[C]]:
        """As `Bus.read`: a plain iterator, which fetches a batch at a time. Dropping it ends the reading."""
        portal = self._opened()
        reader = portal.bus.read(destination, contract, start=start, until=until, on_invalid=on_invalid)
        return _messages(portal, reader)

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

    def _opened(self) -> Portal:
        with self._lock:
            if self._closed:
                raise ClosedError(repr(self))
            if self._portal is None:
                self._portal = Portal(Bus(self.service, self._config, consume=False, transports=self._transports))
            return self._portal

    def _forget(self) -> None:
        """In a forked child the parent's thread and connections are not ours: neither used nor closed."""
        self._lock = threading.Lock()
        self._portal = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._portal else "not yet open"
        return f"<BlockingBus of {self.service.name!r}, {state}>"


def _messages(portal: Portal, reader: StreamReader[C]) -> Iterator[StreamMessage[C]]:
    while found := portal.call(reader.take()):
        yield from found


def _at_fork(forget: weakref.WeakMethod[Callable[[], None]]) -> None:
    """Has `forget` called in forked children, while its object lives: a hook can't be taken back."""

    def forget_in_child() -> None:
        method = forget()
        if method is not None:
            method()

    os.register_at_fork(after_in_child=forget_in_child)
