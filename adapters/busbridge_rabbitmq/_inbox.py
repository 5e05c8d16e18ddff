"""Deliveries that were fetched and not handed over yet. They belong to the source, not to the task that waits (T5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from busbridge.errors import ClosedError

if TYPE_CHECKING:
    from busbridge.errors import BusbridgeError
    from busbridge.transport import Session
    from busbridge_rabbitmq._delivery import RabbitDelivery


@final
class Inbox:
    """Filled by consumers, emptied by one reader, who never holds more than `bound` unsettled deliveries."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._held = 0
        self._ready: list[RabbitDelivery] = []
        self._waiter: asyncio.Future[None] | None = None
        self._end: BusbridgeError | None = None

    def put(self, delivery: RabbitDelivery) -> None:
        """Adds a delivery, behind all others."""
        self._ready.append(delivery)
        self._wake()

    def done(self, count: int = 1) -> None:
        """Deliveries that were handed over are settled, or never will be: there is room for others."""
        self._held -= count
        if self._ready:
            self._wake()

    def end(self, error: BusbridgeError) -> None:
        """What the reader gets once it has taken the rest; ClosedError comes at once and stays."""
        if not isinstance(self._end, ClosedError):
            self._end = error
        self._wake()

    def clear(self) -> list[RabbitDelivery]:
        """Takes back what was not handed over."""
        taken, self._ready = self._ready, []
        return taken

    def forget(self, session: Session) -> int:
        """Drops what belongs to a session that hands over no more, and returns how many: the broker has them still."""
        kept = [delivery for delivery in self._ready if delivery.session is not session]
        forgotten = len(self._ready) - len(kept)
        self._ready = kept
        return forgotten

    async def take(self) -> list[RabbitDelivery]:
        """Waits for at least one delivery and returns all there is room for. A cancelled wait loses nothing."""
        while True:
            if isinstance(self._end, ClosedError):
                raise self._end
            if self._ready and self._held < self._bound:
                return self._taken()
            if self._end is not None and not self._ready:
                raise self._end
            await self._wait()

    def _taken(self) -> list[RabbitDelivery]:
        taken, room = self._ready, self._bound - self._held
        self._ready = taken[room:] if len(taken) > room else []
        del taken[room:]
        for delivery in taken:
            delivery.consumer.handed_over += 1
        self._held += len(taken)
        return taken

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __repr__(self) -> str:
        return f"<Inbox, {len(self._ready)} ready, {self._held} of {self._bound} handed over>"
