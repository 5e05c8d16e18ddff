"""One queue, consumed over a channel of its own with nothing else on it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, final

from pika.exceptions import AMQPError

from busbridge.transport import Session
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._channel import Channel
from busbridge_rabbitmq._delivery import RabbitDelivery
from busbridge_rabbitmq._settling import Settling

if TYPE_CHECKING:
    from collections.abc import Callable

    from pika.spec import BasicProperties

    from busbridge.transport import Headers
    from busbridge_rabbitmq._copies import Copies
    from busbridge_rabbitmq._inbox import Inbox
    from busbridge_rabbitmq._wire import Wire

    MakeDelivery = Callable[..., RabbitDelivery]
    """As the class itself is called."""

_log = logging.getLogger("busbridge.rabbitmq.consume")


@final
class Consumer:
    """Takes from one queue into an inbox, and settles what is finished."""

    def __init__(
        self, queue: str, prefetch: int, inbox: Inbox, copies: Copies, make: MakeDelivery = RabbitDelivery
    ) -> None:
        self.queue = queue
        self.session = Session()
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        """Done when nothing comes any more: the reason, or None where the broker cancelled the consumer."""
        self._make = make
        self._prefetch = prefetch
        self._inbox = inbox
        self._copies = copies
        self._settling = Settling(self.session, prefetch)
        self._channel: Channel | None = None
        self._tag = ""
        self.handed_over = 0
        """Deliveries that are with handlers now."""
        self._busy = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._giving_back = False
        self._holding = False

    async def start(self, wire: Wire) -> None:
        """Begins to take. Raises pika's AMQPError; the channel is gone then."""
        channel = self._channel = await Channel.open(wire, self._lost)
        self._settling.begin(channel)
        channel.on_cancelled(lambda _: self._end(None))
        await channel.call(channel.raw.basic_qos, prefetch_count=self._prefetch)
        self._tag = f"{self.queue} {id(self):x}"
        await channel.call(
            channel.raw.basic_consume, queue=self.queue, on_message_callback=self._arrived, consumer_tag=self._tag
        )

    def _arrived(self, _channel: object, method: Any, properties: BasicProperties, body: bytes) -> None:
        if self._holding:
            return
        self._busy += 1
        redelivered = method.redelivered
        self._inbox.put(self._make(self, method.delivery_tag, properties, body, redelivered=redelivered))

    def retried(self, delivery: RabbitDelivery) -> None:
        """Hands the same message out again: no word to the broker, which would put it behind others."""
        self._taken_back(delivery)
        if self._holding:
            self._less_busy()
        else:
            self._inbox.put(delivery.again())

    def rejected(self, delivery: RabbitDelivery, record: Headers) -> None:
        """To the dead letters, which finish it when they have it."""
        self._copies.bury(delivery, record)

    def put_off(self, delivery: RabbitDelivery, tier: int, added: Headers) -> None:
        """To a queue in which it waits. It is finished when that has it."""
        self._copies.put_off(delivery, tier, added)

    def released(self, delivery: RabbitDelivery) -> None:
        """Stays unacknowledged until the channel closes, and goes back then; at once after `give_back`."""
        self._taken_back(delivery)
        if self._giving_back:
            self._settling.give_back(delivery.tag)
        self._less_busy()

    def accepted(self, delivery: RabbitDelivery) -> None:
        """The broker may forget it."""
        self._taken_back(delivery)
        self._settling.accept(delivery.tag)
        self._less_busy()

    def _taken_back(self, delivery: RabbitDelivery) -> None:
        delivery.finished = True
        if self.session.alive:
            self.handed_over -= 1
            self._inbox.done()

    def _less_busy(self, count: int = 1) -> None:
        self._busy -= count
        if not self._busy:
            self._quiet.set()

    async def stop(self) -> None:
        """Takes no more. What has arrived is still handed over. Raises pika's AMQPError."""
        if self._tag:
            tag, self._tag = self._tag, ""
            self._settling.leaving = True
            await self._settling.cancel(tag)

    def hold(self) -> None:
        """Hands over no more. What is unfinished and what still arrives goes back when the channel closes, in order.

        The consumer stays: cancelled, it would give back at once what is on its way to it, before what is still held.
        """
        if not self._holding:
            self._holding = self._settling.leaving = True
            self.session.taking = False
            self._less_busy(self._inbox.forget(self.session))

    async def quiet(self) -> None:
        """Waits until nothing that was handed over, or still may be, is unfinished."""
        while self._busy and self.session.alive:
            self._quiet.clear()
            await self._quiet.wait()

    def give_back(self, deliveries: list[RabbitDelivery]) -> None:
        """Returns these at once, and all that is released from now on: for others, where no order is promised."""
        self._giving_back = True
        for delivery in deliveries:
            delivery.finished = True
            self._settling.give_back(delivery.tag)
            self._less_busy()

    async def flush(self) -> None:
        """Waits until the broker has every settlement so far. Raises pika's AMQPError."""
        if self.session.alive:
            self._settling.settle()
            if self._settling.doubtful and self._settling.leaving:
                await self._settling.overtake(self.queue)
            else:
                await self._settling.arrive()

    async def close(self, seconds: float) -> None:
        """Settles what is finished and closes the channel: the broker has the rest back, in order."""
        try:
            async with asyncio.timeout(seconds):
                await self._leave()
        except (AMQPError, TimeoutError) as error:
            _log.warning("%s is left without knowing that all is settled: %s", self.queue, _errors.text(error))
            seconds = 0
        if self._channel is not None:
            await self._channel.close(seconds)
        self._end(None)

    async def _leave(self) -> None:
        self._settling.leaving = True
        await self.flush()

    def _lost(self, reason: BaseException) -> None:
        self._end(reason)

    def _end(self, reason: BaseException | None) -> None:
        if self.session.alive:
            self.session.taking = self.session.alive = False
            self._inbox.forget(self.session)
            self._inbox.done(self.handed_over)
        self._settling.end()
        self._quiet.set()
        if not self.ended.done():
            self.ended.set_result(reason)

    def __repr__(self) -> str:
        return f"<Consumer of {self.queue!r}, {self._busy} unfinished, {'open' if self.session.alive else 'ended'}>"
