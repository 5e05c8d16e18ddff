"""Deliveries of a subscription on one queue, shared by all workers, in no promised order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge.errors import BusbridgeError, SourceEnded, TransportError
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._base_source import BaseSource
from busbridge_rabbitmq._connection import Backoff, patiently
from busbridge_rabbitmq._consumer import Consumer
from busbridge_rabbitmq._delivery import RabbitDelivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._consumer import MakeDelivery
    from busbridge_rabbitmq._copies import Copies
    from busbridge_rabbitmq._options import Options

_log = logging.getLogger("busbridge.rabbitmq.consume")


@final
class QueueSource(BaseSource):
    """A source over one queue. A lost channel or connection is replaced; its deliveries come again, anew."""

    def __init__(
        self,
        queue: str,
        prefetch: int,
        link: Link,
        copies: Copies,
        ensure: Callable[[], Awaitable[None]],
        options: Options,
        make: MakeDelivery = RabbitDelivery,
    ) -> None:
        super().__init__(queue, prefetch, link, copies, ensure, options)
        self._make = make
        self._consumer: Consumer | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def consumers(self) -> list[Consumer]:
        """The one, once it has begun."""
        return [self._consumer] if self._consumer is not None else []

    async def begin(self, patience: float) -> None:
        """Consumes for the first time. Raises AccessRefused, TopologyMismatch, Unavailable."""
        self._consumer = await patiently(self._started, self._link.broker, patience)
        self._running = asyncio.create_task(self._run(self._consumer), name=f"busbridge consuming {self._name}")

    def drain(self) -> None:
        """Takes no more; what was not handed over goes back at once."""
        if self._stopping is None and not self._closed:
            self._stop_running()
            self._inbox.end(SourceEnded())
            if self._consumer is not None:
                self._consumer.session.taking = False
                # The task first: what goes back before the consumer is cancelled would only come again.
                self._stopping = asyncio.create_task(self._stop(self._consumer), name=f"leaving {self._name}")
                self._consumer.give_back(self._inbox.clear())

    async def _stop(self, consumer: Consumer) -> None:
        try:
            await consumer.stop()
        except AMQPError as error:
            _log.info("%s was lost while leaving it: %s", self._name, _errors.text(error))
        consumer.give_back(self._inbox.clear())

    async def _leave(self) -> None:
        await self._ended(self._stopping)
        for consumer in self.consumers:
            await consumer.close(self._options.close_timeout)

    async def _run(self, consumer: Consumer) -> None:
        try:
            while True:
                await asyncio.wait([consumer.ended])
                _log.warning("%s was lost (%s): consuming again", self._name, _said(consumer))
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
                _log.warning("%s can't be consumed yet: %s", self._name, error)
                await asyncio.sleep(backoff.next())

    async def _started(self) -> Consumer:
        wire = await self._link.wire()
        consumer = Consumer(self._name, self._prefetch, self._inbox, self._copies, self._make)
        try:
            await consumer.start(wire)
        except AMQPError as error:
            if _errors.code(error) == _errors.NOT_FOUND:
                _log.warning("%s is gone: declaring it again", self._name)
                await self._ensure()
            raise _errors.consuming(error, self._link.broker, self._link.user, self._name) from error
        return consumer

    def __repr__(self) -> str:
        return f"<QueueSource of {self._name!r}, {self._consumer!r}, {self._inbox!r}>"


def _said(consumer: Consumer) -> str:
    reason = consumer.ended.result()
    return _errors.text(reason) if reason else "the broker cancelled the consumer"
