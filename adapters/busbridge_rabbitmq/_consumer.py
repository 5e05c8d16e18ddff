"""One queue, consumed over a channel of its own with nothing else on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from busbridge.transport import Session
from busbridge_rabbitmq._acks import Acks
from busbridge_rabbitmq._channel import Channel
from busbridge_rabbitmq._delivery import RabbitDelivery

if TYPE_CHECKING:
    from pika.spec import BasicProperties

    from busbridge.transport import Headers
    from busbridge_rabbitmq._dead_letters import DeadLetters
    from busbridge_rabbitmq._inbox import Inbox
    from busbridge_rabbitmq._wire import Wire

_STUCK_AFTER = 1.0
"""Seconds after which what is finished behind a delivery that still runs is acknowledged one by one."""


@final
class Consumer:
    """Takes from one queue into an inbox, and acknowledges what is finished, once per turn of the loop."""

    def __init__(self, queue: str, prefetch: int, inbox: Inbox, dead_letters: DeadLetters) -> None:
        self.queue = queue
        self.session = Session()
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        """Done when nothing comes any more: the reason, or None where the broker cancelled the consumer."""
        self._prefetch = prefetch
        self._inbox = inbox
        self._dead_letters = dead_letters
        self._acks = Acks()
        self._channel: Channel | None = None
        self._tag = ""
        self.handed_over = 0
        """Deliveries that are with handlers now."""
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._giving_back = False
        self._flushing = False
        self._call_soon = asyncio.get_running_loop().call_soon
        self._stuck: asyncio.TimerHandle | None = None

    async def start(self, wire: Wire) -> None:
        """Begins to take. Raises pika's AMQPError; the channel is gone then."""
        channel = self._channel = await Channel.open(wire, self._lost)
        channel.on_cancelled(lambda _: self._end(None))
        await channel.call(channel.raw.basic_qos, prefetch_count=self._prefetch)
        self._tag = f"{self.queue} {id(self):x}"
        await channel.call(
            channel.raw.basic_consume, queue=self.queue, on_message_callback=self._arrived, consumer_tag=self._tag
        )

    def _arrived(self, _channel: object, method: Any, properties: BasicProperties, body: bytes) -> None:
        self._busy += 1
        redelivered = method.redelivered
        self._inbox.put(RabbitDelivery(self, method.delivery_tag, properties, body, redelivered=redelivered))

    def retried(self, delivery: RabbitDelivery) -> None:
        """Hands the same message out again: no word to the broker, which would put it behind others."""
        self._taken_back(delivery)
        self._inbox.put(delivery.again())

    def rejected(self, delivery: RabbitDelivery, record: Headers) -> None:
        """To the dead letters, which finish it when they have it."""
        self._dead_letters.put(delivery, record)

    def released(self, delivery: RabbitDelivery) -> None:
        """Stays unacknowledged until the channel closes, and goes back then; at once after `give_back`."""
        self._taken_back(delivery)
        if self._giving_back:
            self._requeue(delivery)
        self._less_busy()

    def accepted(self, delivery: RabbitDelivery) -> None:
        """The broker may forget it."""
        self._taken_back(delivery)
        self._acks.finish(delivery.tag)
        if not self._flushing:
            self._flushing = True
            self._call_soon(self._flush)
        self._less_busy()

    def _taken_back(self, delivery: RabbitDelivery) -> None:
        delivery.finished = True
        if self.session.alive:
            self.handed_over -= 1
            self._inbox.done()

    def _less_busy(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._quiet.set()

    def _flush(self) -> None:
        self._flushing = False
        if not self.session.alive or self._channel is None:
            return
        prefix = self._acks.prefix()
        if prefix is not None:
            self._channel.raw.basic_ack(prefix, True)  # noqa: FBT003
        if self._acks.behind >= max(1, self._prefetch // 2):
            self._ack_singly()
        elif self._acks.behind and self._stuck is None:
            self._stuck = asyncio.get_running_loop().call_later(_STUCK_AFTER, self._ack_singly)

    def _ack_singly(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        if self.session.alive and self._channel is not None:
            for tag in self._acks.stuck():
                self._channel.raw.basic_ack(tag)

    async def stop(self) -> None:
        """Takes no more. What has arrived is still handed over. Raises pika's AMQPError."""
        if self._channel is not None and self._tag:
            tag, self._tag = self._tag, ""
            await self._channel.cancel(tag)

    async def quiet(self) -> None:
        """Waits until nothing that arrived is unfinished."""
        while self._busy and self.session.alive:
            self._quiet.clear()
            await self._quiet.wait()

    def give_back(self, deliveries: list[RabbitDelivery]) -> None:
        """Returns these at once, and all that is released from now on: for others, where no order is promised."""
        self._giving_back = True
        for delivery in deliveries:
            delivery.finished = True
            self._requeue(delivery)
            self._less_busy()

    def _requeue(self, delivery: RabbitDelivery) -> None:
        if self.session.alive and self._channel is not None:
            self._acks.forget(delivery.tag)
            self._channel.raw.basic_nack(delivery.tag, requeue=True)

    async def flush(self) -> None:
        """Waits until the broker has every ack so far. Raises pika's AMQPError."""
        if self._channel is None or not self.session.alive:
            return
        self._flush()
        self._ack_singly()
        # Any answer on this channel says that what was sent before has been read.
        await self._channel.call(self._channel.raw.basic_qos, prefetch_count=self._prefetch)

    async def close(self, seconds: float) -> None:
        """Acknowledges what is finished and closes the channel: the broker has the rest back, in order."""
        if self.session.alive and self._channel is not None:
            self._flush()
            self._ack_singly()
            await self._channel.close(seconds)
        self._end(None)

    def _lost(self, reason: BaseException) -> None:
        self._end(reason)

    def _end(self, reason: BaseException | None) -> None:
        if self.session.alive:
            self.session.taking = self.session.alive = False
            self._inbox.forget_lost()
            self._inbox.done(self.handed_over)
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        self._quiet.set()
        if not self.ended.done():
            self.ended.set_result(reason)

    def __repr__(self) -> str:
        return f"<Consumer of {self.queue!r}, {self._busy} unfinished, {'open' if self.session.alive else 'ended'}>"
