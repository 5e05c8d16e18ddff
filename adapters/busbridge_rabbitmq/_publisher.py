"""Publishing: pipelined, confirmed, bounded, in order, and sent again when the line goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, final

from pika.exceptions import AMQPError, ShortStringTooLong, UnsupportedAMQPFieldException
from pika.spec import Basic

from busbridge.errors import ClosedError
from busbridge.transport import CONFIRMED
from busbridge_rabbitmq import _errors, _wire
from busbridge_rabbitmq._batch import unknown
from busbridge_rabbitmq._channel import Channel
from busbridge_rabbitmq._connection import Backoff
from busbridge_rabbitmq._properties import writable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pika.channel
    from pika.spec import BasicProperties

    from busbridge.transport import Outcome
    from busbridge_rabbitmq._batch import Batch, Item
    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._options import Options

_log = logging.getLogger("busbridge.rabbitmq.publish")

_OVERHEAD = 512
"""Bytes a message costs besides its body, for the bound on what is unconfirmed."""
_WRITES_PER_TURN = 256
"""Messages written before the loop gets its turn."""
_UNWRITABLE = (ShortStringTooLong, UnsupportedAMQPFieldException, UnicodeEncodeError, struct.error, AssertionError)
"""What the client raises for a message that AMQP has no bytes for."""


@final
class Publisher:
    """The one that publishes over one connection.

    What is to be sent stands in `_waiting`, what was sent and not confirmed in `_unconfirmed`, by delivery tag. When
    the channel goes, the unconfirmed return to the head of the waiting, in order. Where the broker closed it because of
    a message and does not say which, only half as many are let out at a time, until the culprit is alone (T12).
    """

    def __init__(self, link: Link, options: Options) -> None:
        self._link = link
        self._options = options
        self._channel: Channel | None = None
        self._waiting: deque[Item] = deque()
        self._unconfirmed: dict[int, Item] = {}
        self._bytes = 0
        self._tag = 0
        self._lowest = 1
        self._limit = options.max_unconfirmed
        self._pumping = False
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._idle = asyncio.Event()
        self.unrouted = 0
        """Messages that no subscription matched, published to topics that allow it."""

    @property
    def in_flight(self) -> int:
        """Messages written and not confirmed."""
        return len(self._unconfirmed)

    @property
    def frame_max(self) -> int:
        """Bytes of the largest piece that a message is sent in, as last agreed with the broker."""
        if self._channel is None:
            return self._options.frame_max
        return int(self._channel.raw.connection.params.frame_max)

    def begin(self) -> None:
        """Starts the task that keeps a channel open."""
        self._running = asyncio.create_task(self._run(), name=f"busbridge publishing to {self._link.broker}")

    async def publish(self, batch: Batch, items: Iterable[Item], seconds: float) -> Sequence[Outcome]:
        """Publishes the items of `batch`; its outcomes once all are known or `seconds` ran out. Raises ClosedError."""
        if self._closing:
            raise ClosedError("the RabbitMQ transport")
        self._waiting.extend(items)
        self._pump()
        try:
            async with asyncio.timeout(seconds):
                await batch.done
        except TimeoutError:
            pass
        finally:
            batch.over = True
            self._forget_over()
        known = zip(batch.outcomes, batch.places, strict=True)
        return [outcome or unknown(place, self._why(seconds)) for outcome, place in known]

    def _forget_over(self) -> None:
        """What nobody waits for any more must not pile up while there is no broker to send it to."""
        while self._waiting and self._waiting[0].batch.over:
            self._waiting.popleft()

    def _why(self, seconds: float) -> str:
        if self._link.blocked:
            return f"the broker takes no messages (resource alarm), for {seconds:g} s"
        if not self._link.up:
            return f"no connection to {self._link.broker}: {self._link.trouble}"
        return f"no confirm within {seconds:g} s"

    def _pump(self) -> None:
        """Writes what may be written now."""
        for _ in range(_WRITES_PER_TURN):
            if not self._waiting or self._channel is None or not self._has_room():
                return
            item = self._waiting.popleft()
            if not item.batch.over:
                self._write(self._channel.raw, item)
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump_on)

    def _pump_on(self) -> None:
        self._pumping = False
        self._pump()

    def _has_room(self) -> bool:
        return len(self._unconfirmed) < self._limit and self._bytes < self._options.max_unconfirmed_bytes

    def _write(self, channel: pika.channel.Channel, item: Item) -> None:
        try:
            _publish(channel, item)
        except _UNWRITABLE as error:
            item.refuse("invalid", f"AMQP can't carry it: {error!r}")
            return
        self._tag += 1
        self._unconfirmed[self._tag] = item
        self._bytes += len(item.body) + _OVERHEAD

    def _on_confirm(self, confirm: Any) -> None:
        method = confirm.method
        tag: int = method.delivery_tag
        taken = isinstance(method, Basic.Ack)
        for each in range(self._lowest, tag + 1) if method.multiple else (tag,):
            item = self._unconfirmed.pop(each, None)
            if item is not None:
                self._bytes -= len(item.body) + _OVERHEAD
                self._settle(item, taken=taken)
        if method.multiple or tag == self._lowest:
            self._lowest = tag + 1
        self._after_confirms()

    def _settle(self, item: Item, *, taken: bool) -> None:
        if item.returned is not None and not item.route.ignores_unrouted:
            item.refuse("unroutable", item.returned)
        elif taken:
            self.unrouted += item.returned is not None
            item.batch.settle(item.index, CONFIRMED)
        elif item.route.bounded:
            item.refuse("overflow", "the queue is full")
        else:
            item.give_up("the broker could not store it (nack)")

    def _after_confirms(self) -> None:
        if not self._unconfirmed:
            self._limit = min(self._options.max_unconfirmed, self._limit * 2)
            if not self._waiting:
                self._idle.set()
        if self._waiting:
            self._pump()

    def _on_return(self, _channel: object, method: Any, properties: BasicProperties, _body: bytes) -> None:
        for item in self._unconfirmed.values():
            if item.returned is None and item.is_this(method, properties):
                item.returned = f"{method.reply_text}: nothing takes routing key {method.routing_key!r}"
                return
        _log.error("a returned message is none of ours: exchange %r, key %r", method.exchange, method.routing_key)

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                channel = await Channel.open(await self._link.wire(), self._lost)
                channel.on_returned(self._on_return)
                await channel.call(channel.raw.confirm_delivery, ack_nack_callback=self._on_confirm)
            except ClosedError:
                return
            except AMQPError as error:
                _log.warning("no channel to publish on: %s", _errors.text(error))
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._channel, self._tag, self._lowest = channel, 0, 1
            self._pump()
            await asyncio.wait([channel.closed])

    def _lost(self, reason: BaseException) -> None:
        """The channel is gone: what is unconfirmed is unknown, and goes out again first, in the order it had."""
        self._channel = None
        items = [item for item in self._unconfirmed.values() if not self._known(item)]
        self._unconfirmed.clear()
        self._bytes = 0
        if items and _errors.blames_a_message(reason):
            _log.warning("%d messages unconfirmed as the channel was closed: %s", len(items), _errors.text(reason))
            if len(items) == 1:
                items.pop().refuse(_errors.refusal(reason), _errors.text(reason))
            self._limit = max(1, len(items) // 2)
        self._resend(items)

    def _resend(self, items: list[Item]) -> None:
        self._waiting.extendleft(reversed(items))

    def _known(self, item: Item) -> bool:
        """A returned message has its outcome, though its confirm won't come."""
        if item.returned is None:
            return False
        self._settle(item, taken=True)
        return True

    async def close(self) -> None:
        """Waits for what is under way, within the close timeout; then its outcome is unknown. Twice is fine."""
        self._closing = True
        if self._unconfirmed or self._waiting:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._options.close_timeout)
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        for item in (*self._unconfirmed.values(), *self._waiting):
            item.give_up("the transport was closed before a confirm came")

    def __repr__(self) -> str:
        return f"<Publisher, {len(self._unconfirmed)} unconfirmed, {len(self._waiting)} waiting, {self._link!r}>"


def _publish(channel: pika.channel.Channel, item: Item) -> None:
    """Foreign headers come this way too, with a dead letter, and some values the client can read and not write."""
    route = item.route
    try:
        _wire.publish(channel, route.exchange, item.routing_key, item.properties, item.body)
    except UnsupportedAMQPFieldException:
        item.properties.headers = writable(item.properties.headers)
        _wire.publish(channel, route.exchange, item.routing_key, item.properties, item.body)
