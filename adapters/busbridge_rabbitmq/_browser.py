"""Looking at a queue without taking from it: what is handed over stays the queue's until it is removed."""

# pyright: reportUnknownMemberType=false
# The client's stubs leave its callbacks untyped.

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, final

from pika import spec
from pika.exceptions import AMQPError

from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pika.spec import BasicProperties

    from busbridge_rabbitmq._wire import Wire

_BACK = 2.0
"""Seconds for what is put back to be there, unless somebody else takes it meanwhile."""
_AGAIN = 0.01


class Found(NamedTuple):
    """A message of a queue, and the delivery tag under which the channel holds it."""

    tag: int
    properties: BasicProperties
    body: bytes


@final
class Browser:
    """One queue over a channel of its own, as far as it reached when this was opened.

    It asks for one message at a time: a consumer's prefetch would bound what can be seen, and a quorum queue bounds the
    prefetch. Calls raise pika's AMQPError; then the broker has put everything back.
    """

    def __init__(self, queue: str, channel: Channel, left: int) -> None:
        self.left = left
        """Messages that may still be found, at most."""
        self._queue = queue
        self._channel = channel
        self._held: set[int] = set()
        self._answer: asyncio.Future[Found | None] | None = None
        channel.raw.add_callback(self._empty, [spec.Basic.GetEmpty], one_shot=False)

    @classmethod
    async def open(cls, wire: Wire, queue: str) -> Browser | None:
        """None where there is no such queue."""
        channel = await Channel.open(wire)
        try:
            declared = await channel.call(channel.raw.queue_declare, queue=queue, passive=True)
        except AMQPError as error:
            if _errors.code(error) == _errors.NOT_FOUND:
                return None
            raise
        return cls(queue, channel, int(declared.message_count))

    async def next(self) -> Found | None:
        """The next message; None at the end. What a cancelled call was to return goes back when this is closed."""
        if not self.left:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        self._channel.raw.basic_get(self._queue, self._found)
        found = await self._channel.answered(self._answer)
        self.left = 0 if found is None else self.left - 1
        return found

    async def remove(self, tags: Iterable[int]) -> None:
        """Acknowledges; returns when the broker has answered something that was asked after it."""
        for tag in tags:
            if tag in self._held:
                self._held.discard(tag)
                self._channel.raw.basic_ack(tag)
        await self._channel.call(self._channel.raw.basic_qos, prefetch_count=0)

    async def close(self) -> None:
        """Puts back what was not removed: a queue hands it out again before all that stands behind it."""
        if self._channel.is_open and self._held:
            self._channel.raw.basic_nack(max(self._held), multiple=True, requeue=True)
            with contextlib.suppress(AMQPError, TimeoutError):
                async with asyncio.timeout(_BACK):
                    await self._are_back(len(self._held))
        await self._channel.close(1)

    async def _are_back(self, count: int) -> None:
        """A quorum queue puts back in its own time, and who looks next counts first."""
        while await self._ready() < count:  # noqa: ASYNC110 - a queue tells nobody
            await asyncio.sleep(_AGAIN)

    async def _ready(self) -> int:
        return int(
            (await self._channel.call(self._channel.raw.queue_declare, queue=self._queue, passive=True)).message_count
        )

    def _found(self, _channel: object, method: Any, properties: BasicProperties, body: bytes) -> None:
        self._held.add(method.delivery_tag)
        self._end(Found(method.delivery_tag, properties, body))

    def _empty(self, _: object) -> None:
        self._end(None)

    def _end(self, found: Found | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(found)
