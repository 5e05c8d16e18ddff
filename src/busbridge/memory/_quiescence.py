"""When everything that was published has been settled: waiting on causes, not on the clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable


class Place(Protocol):
    """Where messages wait for a subscription."""

    @property
    def outstanding(self) -> int:
        """Messages that a subscription with a live source has not settled."""
        ...


@final
class Quiescence:
    """Counts what is unsettled over all places, and wakes who waits for none. A place tells when it may be the last."""

    def __init__(self, places: Callable[[], list[Place]]) -> None:
        self._places = places
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def outstanding(self) -> int:
        """Messages that some subscription with a live source has not settled, a copy for each."""
        return sum(place.outstanding for place in self._places())

    async def settled(self) -> None:
        """Waits until nothing is outstanding. What is published later is not waited for."""
        while self.outstanding:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def check(self) -> None:
        """A place has nothing outstanding now."""
        if not self._waiters or self.outstanding:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
