"""How many messages a lane takes at a time: as many as its handlers finish before others have waited too long."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

BUDGET: Final = 0.05
"""Seconds of handling after which a transaction is committed, where all others wait for it (T13)."""
_FEW: Final = 4
"""Lanes that are enough where handlers are quick: more would only make smaller transactions, and keep the relay, which
has one turn where they have one each, from going along with them."""
_QUICK: Final = BUDGET / 25
"""Seconds of its own that a quick handler takes at most."""
_PATIENCE: Final = 0.5
"""Seconds after which a lane goes on beside those few all the same: they may be waiting for what it has."""
_LONGEST: Final = 1.0
"""The same where only those wait who want the rows that it has changed, and lanes beside it slow it down."""


@final
class Pace:
    """Shared by the lanes of a subscription. Slow handlers get one message at a time, so that no lane is idle.

    What a handler waits for the database is no reason to take fewer: a database that is busy, with sixteen lanes that
    ask it, has less to do with larger transactions. Nor is it a handler's own time.
    """

    __slots__ = ("_each", "_few", "_lanes", "_most", "_queue", "_working", "clock", "limit", "longest")

    def __init__(
        self,
        most: int,
        *,
        lanes: int = 1,
        one_at_a_time: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` messages at a time; `lanes` share what is waiting, and can handle it beside each other."""
        self.longest: Final = BUDGET if one_at_a_time else _LONGEST
        """Seconds after which a transaction takes no more messages."""
        self.limit = most
        """Messages to take at most, now."""
        self.clock: Final = clock
        self._most = most
        self._lanes = lanes
        self._few = 2 if one_at_a_time else _FEW
        self._each = float("inf")
        """Seconds of its own that a handler took of late."""
        self._working = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """A lane's turn to take deliveries and handle them. Quick handlers' lanes take turns, in the order of asking.

        What comes while a lane waits lines up for it. None waits longer than half a second.
        """
        if self._working < self._few or not self._quick:
            self._working += 1
        else:
            await self._line_up()
        try:
            yield
        finally:
            self._working -= 1
            self._call()

    async def _line_up(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(_PATIENCE):
                await turn
        except TimeoutError:
            if turn.cancelled():
                self._working += 1
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had been called
                self._working -= 1
                self._call()
            raise

    def _call(self) -> None:
        """Those whose turn it is. Their work is counted from now on, so that nobody comes in between."""
        while self._queue and (self._working < self._few or not self._quick):
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                self._working += 1

    @property
    def _quick(self) -> bool:
        return self._each <= _QUICK

    def share(self, waiting: int) -> int:
        """Messages to take of `waiting`, which is not zero: some for each lane, before any lane gets many.

        Where handlers are known to be fast a few lanes share them, so that each has many for its transaction.
        """
        wanted = max(self._few, -(-waiting // self.limit)) if self._quick else self._lanes
        return min(self.limit, -(-waiting // min(self._lanes, wanted)))

    def met(self) -> None:
        """A transaction met another one: shorter ones meet less often."""
        self.limit = max(1, self.limit // 2)

    def ran(self, count: int, seconds: float) -> None:
        """`count` messages took their handlers `seconds` of their own."""
        self._each = seconds / count
        if seconds > BUDGET:
            self.limit = max(1, int(count * BUDGET / seconds))
        elif seconds < BUDGET / 2:
            self.limit = min(self._most, 2 * self.limit)


@final
class Stint:
    """The handlers of one transaction, at work from now on."""

    __slots__ = ("_begin", "_pace", "done")

    def __init__(self, pace: Pace) -> None:
        self.done = 0
        """Messages that have come to their end in it."""
        self._pace = pace
        self._begin = pace.clock()

    @property
    def over(self) -> bool:
        """Whether no other message may begin."""
        return self.done > 0 and self._pace.clock() - self._begin > self._pace.longest

    def end(self, waited: float) -> None:
        """None of them runs any more; they have waited for the database for so many seconds."""
        if self.done:
            self._pace.ran(self.done, self._pace.clock() - self._begin - waited)
