"""What all sources of this transport have in common: an inbox to hand over from, and the way out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pika.exceptions import AMQPError

from busbridge.errors import ClosedError
from busbridge_rabbitmq._inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.transport import Delivery
    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._consumer import Consumer
    from busbridge_rabbitmq._copies import Copies
    from busbridge_rabbitmq._options import Options


class BaseSource(ABC):
    """Hands over what its consumers put into the inbox. `ensure` declares its queues again where they are gone."""

    def __init__(
        self,
        name: str,
        prefetch: int,
        link: Link,
        copies: Copies,
        ensure: Callable[[], Awaitable[None]],
        options: Options,
    ) -> None:
        self._name = name
        self._prefetch = prefetch
        self._link = link
        self._copies = copies
        self._ensure = ensure
        self._options = options
        self._inbox = Inbox(prefetch)
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    @property
    @abstractmethod
    def consumers(self) -> list[Consumer]:
        """Those that there are now."""

    @abstractmethod
    async def _leave(self) -> None:
        """Closes the consumers, and what else is its own."""

    async def receive(self) -> Sequence[Delivery]:
        """As the protocol says."""
        return await self._inbox.take()

    async def flush(self, seconds: float) -> bool:
        """As the protocol says."""
        try:
            async with asyncio.timeout(seconds):
                await self._copies.idle()
                for consumer in self.consumers:
                    await consumer.flush()
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
        self._inbox.end(ClosedError(f"the source of {self._name!r}"))
        self._stop_running()
        await self._ended(self._running)
        await self._copies.close(self._options.close_timeout)
        await self._leave()

    def _stop_running(self) -> None:
        if self._running is not None:
            self._running.cancel()

    async def _ended(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            await asyncio.wait([task], timeout=self._options.close_timeout)
