"""Which worker holds which shard, kept by the broker itself: no plugin, no management API, no clock.

A shard is held by the connection that owns an exclusive queue named after it: declaring one is atomic, and it goes with
its connection. Nobody else consumes the shard, so that no successor waits who would be given later messages first when
a channel closes (T8). How many workers there are, and how many of them want more, is the number of consumers on two
queues that carry no messages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._channel import Channel

if TYPE_CHECKING:
    from busbridge_rabbitmq._wire import Wire

_FORGOTTEN_AFTER = 60_000
"""Milliseconds after which an empty presence queue goes."""


@final
class Presence:
    """A raised hand: a consumer on a queue that carries nothing, for others to count."""

    def __init__(self, queue: str, wire: Wire) -> None:
        self._queue = queue
        self._wire = wire
        self._channel: Channel | None = None

    async def count(self, channel: Channel) -> int:
        """How many hands are raised."""
        arguments = {"x-queue-type": "classic", "x-expires": _FORGOTTEN_AFTER}
        declared = await channel.call(
            channel.raw.queue_declare, queue=self._queue, durable=True, auto_delete=True, arguments=arguments
        )
        return int(declared.consumer_count)

    async def show(self, *, present: bool) -> None:
        """Raises the hand, or takes it down."""
        if present and self._channel is None:
            self._channel = await Channel.open(self._wire)
            await self.count(self._channel)
            await self._channel.call(self._channel.raw.basic_consume, queue=self._queue, on_message_callback=_nothing)
        elif not present and self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close(1)


@final
class Claims:
    """The claims of one connection on the shards of one ordered queue. Methods raise pika's AMQPError.

    They ask one after another: a claim that comes too late closes the channel that it was made on.
    """

    def __init__(self, name: str, wire: Wire) -> None:
        self._wire = wire
        members, wanting = presences(name)
        self._members = Presence(members, wire)
        self._wanting = Presence(wanting, wire)
        self._asking = asyncio.Lock()
        self._channel: Channel | None = None

    async def join(self) -> None:
        """Counts as a worker from now on."""
        await self._members.show(present=True)

    async def workers(self) -> int:
        """How many workers there are, this one included."""
        async with self._asking:
            return max(1, await self._members.count(await self._open()))

    async def wanted(self) -> bool:
        """Whether a worker has fewer shards than it should."""
        async with self._asking:
            return await self._wanting.count(await self._open()) > 0

    async def want(self, *, more: bool) -> None:
        """Tells others that this worker has too few, or enough."""
        await self._wanting.show(present=more)

    async def claim(self, shard: str) -> bool:
        """Takes a shard, if nobody has it and nobody still consumes it."""
        async with self._asking:
            return await self._claimed(await self._open(), shard)

    async def _claimed(self, channel: Channel, shard: str) -> bool:
        if await channel.count(shard):
            return False
        try:
            await channel.call(channel.raw.queue_declare, queue=_owner(shard), exclusive=True)
        except AMQPError as error:
            if _errors.code(error) == _errors.RESOURCE_LOCKED:
                return False
            raise
        if await channel.count(shard):
            # The last holder's connection is just going: what it held must come back first.
            await channel.call(channel.raw.queue_delete, queue=_owner(shard))
            return False
        return True

    async def release(self, shard: str) -> None:
        """Gives a shard up. Only when nothing of it is held any more."""
        async with self._asking:
            channel = await self._open()
            await channel.call(channel.raw.queue_delete, queue=_owner(shard))

    async def _open(self) -> Channel:
        if self._channel is None or not self._channel.is_open:
            self._channel = await Channel.open(self._wire)
        return self._channel


def _nothing(*_: object) -> None:
    """What happens to the messages of a presence queue, of which there are none."""


def presences(name: str) -> tuple[str, str]:
    """The queues on which the workers of an ordered queue are counted, and those of them that want more."""
    return f"{name}.members", f"{name}.wanting"


def _owner(shard: str) -> str:
    return f"{shard}.owner"
