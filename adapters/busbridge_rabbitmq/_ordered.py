"""Deliveries of a subscription on an ordered queue: shards, shared out between the workers, handed over in order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge.errors import BusbridgeError, SourceEnded, TransportError
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._base_source import BaseSource
from busbridge_rabbitmq._claims import Claims
from busbridge_rabbitmq._connection import Backoff, patiently
from busbridge_rabbitmq._consumer import Consumer
from busbridge_rabbitmq._sharing import Share

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._copies import Copies
    from busbridge_rabbitmq._options import Options

_log = logging.getLogger("busbridge.rabbitmq.ordered")


@final
class OrderedSource(BaseSource):
    """A source over the shards that this worker holds.

    Whatever closes a channel, the broker puts what was held back in front, and since a shard is consumed by its holder
    alone, nobody was waiting to be given later messages first. It has a connection of its own: that is what its claims
    on shards belong to.

    What a channel that the broker closed can still do: a handler that was running then runs to its end here, while its
    message and those behind it are handed over again. They come in order, but the running one overlaps its repeat.
    """

    def __init__(
        self,
        name: str,
        shards: tuple[str, ...],
        prefetch: int,
        link: Link,
        copies: Copies,
        ensure: Callable[[], Awaitable[None]],
        options: Options,
    ) -> None:
        super().__init__(name, prefetch, link, copies, ensure, options)
        self._shards = shards
        self._share: Share | None = None

    @property
    def consumers(self) -> list[Consumer]:
        """Of the shards that it holds."""
        return self._share.consumers if self._share is not None else []

    async def begin(self, patience: float) -> None:
        """Takes its first shards. Raises AccessRefused, TopologyMismatch, Unavailable."""
        try:
            await self._link.open(patience)
            share = await patiently(self._joined, self._link.broker, patience)
        except BaseException:
            await self._link.close()
            raise
        self._running = asyncio.create_task(self._run(share), name=f"busbridge consuming {self._name}")

    def drain(self) -> None:
        """Hands over no more. What has not begun goes back with `close`, and comes after what was left unfinished."""
        self._stop_running()
        if self._share is not None:
            self._share.hold()
        self._inbox.end(SourceEnded())

    async def _leave(self) -> None:
        await self._forget()
        await self._link.close()

    async def _run(self, share: Share | None) -> None:
        backoff = Backoff()
        while True:
            try:
                share = share or await self._joined()
                backoff.reset()
                await share.keep(self._options.rebalance_interval)
            except (AMQPError, TransportError) as error:
                _log.warning("the shards of %s were lost (%s): claiming again", self._name, _errors.text(error))
            except BusbridgeError as error:
                self._inbox.end(error)
                return
            await self._forget()
            share = None
            await asyncio.sleep(backoff.next())

    async def _joined(self) -> Share:
        """A new share, with its first shards."""
        wire = await self._link.wire()
        claims = Claims(self._name, wire)

        async def start(shard: str, most: int) -> Consumer:
            consumer = Consumer(shard, max(1, self._prefetch // most), self._inbox, self._copies)
            await consumer.start(wire)
            return consumer

        share = self._share = Share(self._shards, claims, start, self._options.close_timeout)
        try:
            await claims.join()
            await share.settle()
        except AMQPError as error:
            await self._forget()
            if _errors.code(error) == _errors.NOT_FOUND:
                await self._ensure()
            raise _errors.consuming(error, self._link.broker, self._link.user, self._name) from error
        return share

    async def _forget(self) -> None:
        """Ends a share that is lost: its sessions, whose channels may still be there, and the connection it claims by.

        A claim that was made on that connection would keep its shard from everybody, this worker included.
        """
        if self._share is not None:
            await self._share.close()
            await self._link.hang_up()

    def __repr__(self) -> str:
        return f"<OrderedSource of {self._name!r}, {self._share!r}, {self._inbox!r}>"
