"""How many messages a lane takes at a time: as many as its handlers finish before others have waited too long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET: Final = 0.05
"""Seconds of handling after which a transaction is committed, where all others wait for it (T13)."""
_LONGEST: Final = 0.5
"""The same where only who wants the rows that it has changed waits, and lanes that run beside it slow it down."""


@final
class Pace:
    """Shared by the lanes of a subscription. Slow handlers get one message at a time, so that no lane is idle.

    With 16 lanes on one loop, what a handler takes is mostly the time of the 15 others. A transaction that took what
    it could do in `BUDGET` by itself would thus get smaller with every lane, and the overhead larger. So the time that
    the loop's thread was at work is divided among the transactions that were under way.
    """

    __slots__ = ("_clock", "_cpu", "_lanes", "_most", "limit", "longest", "running")

    def __init__(
        self,
        most: int,
        *,
        lanes: int = 1,
        one_at_a_time: bool = True,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """`most` messages at a time; `lanes` share what is waiting, and can handle it beside each other.

        `cpu`: seconds that this thread was at work.
        """
        self.longest: Final = BUDGET if one_at_a_time else _LONGEST
        """Seconds after which a transaction takes no more messages."""
        self.limit = most
        """Messages to take at most, now."""
        self.running = 0
        """Transactions whose handlers are at work."""
        self._most = most
        self._lanes = lanes
        self._clock = clock
        self._cpu = _none if one_at_a_time else cpu  # nothing to divide, and asking costs

    def share(self, waiting: int) -> int:
        """Messages to take of `waiting`, which is not zero: some for each lane, before any lane gets many."""
        return min(self.limit, -(-waiting // self._lanes))

    def begin(self) -> Stint:
        """Handlers of a transaction are about to be called."""
        self.running += 1
        return Stint(self, self._clock, self._cpu)

    def met(self) -> None:
        """A transaction met another one: shorter ones meet less often."""
        self.limit = max(1, self.limit // 2)

    def ran(self, count: int, alone: float) -> None:
        """`count` messages would have taken their handlers `alone` seconds with nothing beside them."""
        if alone > BUDGET:
            self.limit = max(1, int(count * BUDGET / alone))
        elif alone < BUDGET / 2:
            self.limit = min(self._most, 2 * self.limit)


def _none() -> float:
    return 0.0


@final
class Stint:
    """The handlers of one transaction, at work."""

    __slots__ = ("_begin", "_beside", "_clock", "_cpu", "_pace", "_worked", "done")

    def __init__(self, pace: Pace, clock: Callable[[], float], cpu: Callable[[], float]) -> None:
        self.done = 0
        """Messages that have come to their end in it."""
        self._pace = pace
        self._clock = clock
        self._cpu = cpu
        self._beside = pace.running
        self._begin = clock()
        self._worked = cpu()

    @property
    def over(self) -> bool:
        """Whether no other message may begin."""
        return self.done > 0 and self._clock() - self._begin > self._pace.longest

    def end(self) -> None:
        """No handler of it runs any more."""
        pace, worked = self._pace, self._cpu() - self._worked
        waited = max(0.0, self._clock() - self._begin - worked)
        beside = max(self._beside, pace.running)
        pace.running -= 1
        if self.done:
            pace.ran(self.done, waited + worked / beside)
