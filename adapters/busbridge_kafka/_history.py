"""A Kafka topic as one reader goes through it, on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import ClosedError, SourceEnded
from busbridge_kafka._reading import ReadingThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busbridge.errors import BusbridgeError
    from busbridge.transport import Kept, Part
    from busbridge_kafka._consumer import Explain
    from busbridge_kafka._reading import MakeReader, Resolve

_log: Final = logging.getLogger("busbridge.kafka")

LEAVING: Final = 5.0
"""Seconds for the consumer to end."""


@final
class KafkaHistory:
    """What one thread reads. What was fetched belongs to this object, not to the task that waits (T5)."""

    def __init__(
        self,
        name: str,
        make: MakeReader,
        resolve: Resolve,
        explain: Explain,
        patience: float,
        left: Callable[[KafkaHistory], object],
    ) -> None:
        """`left` is called when nothing of it is at work any more."""
        self._name = name
        self._on_left = left
        self._batches: deque[list[Kept]] = deque()
        self._ahead: int | None = None
        self._failure: BusbridgeError | None = None
        self._closed = False
        loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._thread = ReadingThread(name, make, resolve, explain, patience, self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "failed" if self._failure else "ended" if self._ended.done() else "open"
        return f"<KafkaHistory of {self._name}, {state}>"

    @property
    def parts(self) -> Mapping[int, Part]:
        """See `History.parts`."""
        return self._thread.parts

    async def begin(self) -> None:
        """Waits until it is known where reading begins and ends; on failure nothing is left running."""
        try:
            await self._ready
        except BaseException:
            await self.close()
            raise

    @property
    def remaining(self) -> int | None:
        """See `History.remaining`."""
        return None if self._ahead is None else self._ahead + sum(map(len, self._batches))

    async def receive(self) -> list[Kept]:
        """See `History.receive`. Nothing is awaited between taking from the buffer and returning."""
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            if self._batches:
                return self._batches.popleft()
            if self._failure is not None:
                raise self._failure
            if self._ended.done():
                raise SourceEnded(repr(self))
            self._thread.want()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def abandon(self) -> None:
        """See `History.abandon`."""
        self._thread.stop()

    async def close(self) -> None:
        """See `History.close`."""
        self._closed = True
        self._thread.stop()
        self._batches.clear()
        self._wake()
        done, _ = await asyncio.wait([self._ended], timeout=LEAVING)
        if done:
            self._thread.join()
        else:
            _log.warning("who read %s is still leaving after %g s", self._name, LEAVING)

    def begun(self, left: int | None) -> None:
        """The thread knows what to read."""
        self._ahead = left
        _resolve(self._ready)

    def arrived(self, messages: list[Kept], left: int | None) -> None:
        """The thread has fetched something."""
        self._ahead = left
        if not self._closed:
            self._batches.append(messages)
            self._wake()

    def failed(self, error: BusbridgeError) -> None:
        """The thread can't go on."""
        self._failure = error
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # retrieved: who begins may have gone

    def ended(self, left: int | None) -> None:
        """The thread is at its end, having read everything, failed, or been stopped."""
        self._ahead = left
        self._on_left(self)
        _resolve(self._ready)
        _resolve(self._ended)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _resolve(self._waiter)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
