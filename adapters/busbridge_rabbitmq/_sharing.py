"""One worker's share of the shards of an ordered queue (T9)."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge_rabbitmq import _errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge_rabbitmq._claims import Claims
    from busbridge_rabbitmq._consumer import Consumer

_log = logging.getLogger("busbridge.rabbitmq.ordered")


@final
class Share:
    """The shards that one connection holds: with W workers and N shards at most ceil(N / W), and floor(N / W) wanted.

    Methods raise pika's AMQPError when the connection goes; the share ends with it.
    """

    def __init__(
        self,
        shards: tuple[str, ...],
        claims: Claims,
        start: Callable[[str, int], Awaitable[Consumer]],
        close_timeout: float,
    ) -> None:
        self._shards = shards
        self._claims = claims
        self._start = start
        self._close_timeout = close_timeout
        self._held: dict[str, Consumer] = {}
        self._leaving: dict[str, Consumer] = {}
        self._handing_over: set[asyncio.Task[None]] = set()

    @property
    def consumers(self) -> list[Consumer]:
        """Of the shards held, and of those being handed over."""
        return [*self._held.values(), *self._leaving.values()]

    async def keep(self, interval: float) -> None:
        """Looks again and again, sooner when a shard was lost."""
        while True:
            pause = random.uniform(0.75, 1.25) * interval  # noqa: S311  # workers that started together drift apart
            ends = [consumer.ended for consumer in self._held.values()]
            if ends:
                await asyncio.wait(ends, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(pause)
            await self.settle()

    async def settle(self) -> None:
        """Gives up what is too much, takes what is free and due."""
        await self._forget_lost()
        workers = await self._claims.workers()
        least, fair = len(self._shards) // workers, -(-len(self._shards) // workers)
        while len(self._held) > fair:
            self._leave_one()
        if len(self._held) > least and await self._claims.wanted():
            self._leave_one()
        await self._take(fair)
        await self._claims.want(more=len(self._held) < least)

    async def _forget_lost(self) -> None:
        for shard, consumer in list(self._held.items()):
            if consumer.ended.done():
                reason = consumer.ended.result()
                _log.warning("%s was lost: %s", shard, _errors.text(reason) if reason else "cancelled by the broker")
                del self._held[shard]
                await self._claims.release(shard)

    async def _take(self, most: int) -> None:
        free = [shard for shard in self._shards if shard not in self._held and shard not in self._leaving]
        random.shuffle(free)
        for shard in free:
            if len(self._held) >= most:
                return
            if await self._claims.claim(shard):
                self._held[shard] = await self._start(shard, most)

    def _leave_one(self) -> None:
        shard, consumer = self._held.popitem()
        self._leaving[shard] = consumer
        task = asyncio.create_task(self._hand_over(shard, consumer), name=f"busbridge handing over {shard}")
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, shard: str, consumer: Consumer) -> None:
        """Begins no more, finishes what has begun, closes the channel, gives up the claim: in this order (T8)."""
        try:
            consumer.hold()
            await consumer.quiet()
            await consumer.close(self._close_timeout)
            await self._claims.release(shard)
        except AMQPError as error:
            _log.warning("the claim on %s was lost with its connection: %s", shard, _errors.text(error))
        finally:
            del self._leaving[shard]

    def hold(self) -> None:
        """Hands over no more of any shard. All stay claimed until what is unfinished has gone back."""
        for consumer in self.consumers:
            consumer.hold()

    async def close(self) -> None:
        """Acknowledges what is finished on every shard; the broker has the rest back, in order."""
        consumers = self.consumers
        for task in self._handing_over:
            task.cancel()
        if self._handing_over:
            await asyncio.wait(self._handing_over)
        await asyncio.gather(*(consumer.close(self._close_timeout) for consumer in consumers))

    def __repr__(self) -> str:
        return f"<Share of {len(self._held)} of {len(self._shards)} shards, {len(self._leaving)} being handed over>"
