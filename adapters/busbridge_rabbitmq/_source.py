"""Deliveries of a subscription on one queue, shared by all workers, in no promised order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge.errors import BusbridgeError, ClosedError, SourceEnded, TransportError
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._connection import Backoff, patiently
from busbridge_rabbitmq._consumer import Consumer
from busbridge_rabbitmq._inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.transport import Delivery
    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._dead_letters import DeadLetters

_log = logging.getLogger("busbridge.rabbitmq.consume")


@final
class QueueSource:
    """A source over one queue. A lost channel or connection is replaced; its deliveries come again, anew."""

    def __init__(
        self,
        queue: str,
        prefetch: int,
        link: Link,
        dead_letters: DeadLetters,
        ensure: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> None:
        self._queue = queue
        self._prefetch = prefetch
        self._link = link
        self._dead_letters = dead_letters
        self._ensure = ensure
        self._seconds = seconds
        self._inbox = Inbox(prefetch)
        self._consumer: Consumer | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._closed = False

    async def begin(self, patience: float) -> None:
        """Consumes for the first time. Raises AccessRefused, TopologyMismatch, Unavailable."""
        self._consumer = await patiently(self._started, self._link.broker, patience)
        self._running = asyncio.create_task(self._run(self._consumer), name=f"busbridge consuming {self._queue}")

    async def receive(self) -> Sequence[Delivery]:
        """As the protocol says."""
        return await self._inbox.take()

    def drain(self) -> None:
        """Takes no more; what was not handed over goes back at once."""
        if self._stopping is None and not self._closed:
            self._stop_running()
            self._inbox.end(SourceEnded())
            if self._consumer is not None:
                self._consumer.session.taking = False
                # The task first: what goes back before the consumer is cancelled would only come again.
                self._stopping = asyncio.create_task(self._stop(self._consumer), name=f"leaving {self._queue}")
                self._consumer.give_back(self._inbox.clear())

    async def _stop(self, consumer: Consumer) -> None:
        try:
            await consumer.stop()
        except AMQPError as error:
            _log.info("%s was lost while leaving it: %s", self._queue, _errors.text(error))
        consumer.give_back(self._inbox.clear())

    async def flush(self, seconds: float) -> bool:
        """As the protocol says."""
        try:
            async with asyncio.timeout(seconds):
                await self._dead_letters.idle()
                if self._consumer is not None:
                    await self._consumer.flush()
        except TimeoutError:
            return False
        except AMQPError:
            return True  # the session is gone: nothing of it can still be on its way
        return True

    async def close(self) -> None:
        """As the protocol says."""
        if self._closed:
            return
        self._closed = True
        self._inbox.end(ClosedError(f"the source of {self._queue!r}"))
        self._stop_running()
        for task in (self._running, self._stopping):
            if task is not None:
                await asyncio.wait([task], timeout=self._seconds)
        await self._dead_letters.close(self._seconds)
        if self._consumer is not None:
            await self._consumer.close(self._seconds)

    def _stop_running(self) -> None:
        if self._running is not None:
            self._running.cancel()

    async def _run(self, consumer: Consumer) -> None:
        try:
            while True:
                await asyncio.wait([consumer.ended])
                _log.warning("%s was lost (%s): consuming again", self._queue, _said(consumer))
                await consumer.close(1)
                consumer = self._consumer = await self._again()
        except BusbridgeError as error:
            self._inbox.end(error)

    async def _again(self) -> Consumer:
        backoff = Backoff()
        while True:
            try:
                return await self._started()
            except TransportError as error:
                _log.warning("%s can't be consumed yet: %s", self._queue, error)
                await asyncio.sleep(backoff.next())

    async def _started(self) -> Consumer:
        wire = await self._link.wire()
        consumer = Consumer(self._queue, self._prefetch, self._inbox, self._dead_letters)
        try:
            await consumer.start(wire)
        except AMQPError as error:
            if _errors.code(error) == _errors.NOT_FOUND:
                _log.warning("%s is gone: declaring it again", self._queue)
                await self._ensure()
            raise _errors.consuming(error, self._link.broker, self._link.user, self._queue) from error
        return consumer

    def __repr__(self) -> str:
        return f"<QueueSource of {self._queue!r}, {self._consumer!r}, {self._inbox!r}>"


def _said(consumer: Consumer) -> str:
    reason = consumer.ended.result()
    return _errors.text(reason) if reason else "the broker cancelled the consumer"
