"""One AMQP channel whose calls are awaited."""

# pyright: reportUnknownMemberType=false
# The client's stubs leave its callbacks untyped.

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, final

from pika.exceptions import ChannelWrongStateError

from busbridge_rabbitmq import _wire

if TYPE_CHECKING:
    from collections.abc import Callable

    import pika.channel

    from busbridge_rabbitmq._wire import Wire

T = TypeVar("T")


@final
class Channel:
    """A channel over `raw`, the client's own. Calls raise pika's AMQPError: the channel's, or the connection's, end."""

    def __init__(self, raw: pika.channel.Channel, on_closed: Callable[[BaseException], None] | None) -> None:
        self.raw = raw
        self.closed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Ends with the reason when the channel is gone."""
        self._on_closed = on_closed
        self._calls: set[asyncio.Future[Any]] = set()
        raw.add_on_close_callback(self._now_closed)

    @classmethod
    async def open(cls, wire: Wire, on_closed: Callable[[BaseException], None] | None = None) -> Channel:
        """A new channel. `on_closed` is called with the reason at the very moment it is gone."""
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        made = cls(wire.channel(on_open_callback=_ends(opened)), on_closed)
        await made._reply(opened)
        return made

    @property
    def is_open(self) -> bool:
        """False when calls would raise."""
        return not self.closed.done() and bool(self.raw.is_open)

    async def call(self, method: Callable[..., object], **arguments: Any) -> Any:
        """Calls a method of `raw` that takes `callback=`, and returns the broker's reply."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        method(**arguments, callback=_ends(reply))
        return (await self._reply(reply)).method

    async def answered(self, reply: asyncio.Future[T]) -> T:
        """What a reply that a callback of the client's ends with; what ends the channel, where that comes first."""
        answer: T = await self._reply(reply)
        return answer

    def on_returned(self, callback: Callable[..., None]) -> None:
        """Calls back with (channel, method, properties, body) for each message that the broker returns."""
        self.raw.add_on_return_callback(callback)

    def on_cancelled(self, callback: Callable[[Any], None]) -> None:
        """Calls back when the broker cancels a consumer, as it does when a queue is deleted."""
        self.raw.add_on_cancel_callback(callback)

    async def cancel(self, tag: str) -> None:
        """Cancels a consumer; what arrives until the broker confirms it is still handed over."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        _wire.cancel(self.raw, tag, _ends(reply))
        await self._reply(reply)

    async def count(self, queue: str) -> int:
        """How many consumers a queue has. Raises the broker's 404 where there is no such queue, and is closed by it."""
        return int((await self.call(self.raw.queue_declare, queue=queue, passive=True)).consumer_count)

    async def close(self, seconds: float) -> None:
        """Closes it in agreement with the broker, if that takes no longer than `seconds`. Twice is fine."""
        if not self.is_open:
            return
        try:
            _wire.close(self.raw)
        except ChannelWrongStateError:
            return
        await asyncio.wait([self.closed], timeout=seconds)

    async def _reply(self, reply: asyncio.Future[Any]) -> Any:
        if self.closed.done():
            raise self.closed.result()
        self._calls.add(reply)
        try:
            return await reply
        finally:
            self._calls.discard(reply)

    def _now_closed(self, _: object, reason: BaseException) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        for call in self._calls:
            if not call.done():
                call.set_exception(reason)
        if self._on_closed is not None:
            self._on_closed(reason)


def _ends(future: asyncio.Future[Any]) -> Callable[[Any], None]:
    """A callback that ends the future, unless its waiter has gone."""

    def end(value: Any) -> None:
        if not future.done():
            future.set_result(value)

    return end
