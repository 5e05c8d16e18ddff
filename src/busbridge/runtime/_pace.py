"""How many messages a lane takes at a time: as many as its handlers finish before others have waited too long."""

from __future__ import annotations

from typing import Final, final

BUDGET: Final = 0.05
"""Seconds of handling after which a transaction is committed (T13)."""


@final
class Pace:
    """Shared by the lanes of a subscription. Slow handlers get one message at a time, so that no lane is idle."""

    __slots__ = ("_most", "limit")

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = most
        """Messages to take now."""

    def ran(self, count: int, seconds: float) -> None:
        """`count` messages took their handlers `seconds`."""
        if seconds > BUDGET:
            self.limit = max(1, int(count * BUDGET / seconds))
        elif seconds < BUDGET / 2:
            self.limit = min(self._most, 2 * self.limit)
