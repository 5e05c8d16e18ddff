"""How often, and how soon, a handler is called again after it raised."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

LONGEST_BLOCK: Final = 300.0
"""Seconds that a delivery is kept unsettled for its next attempt, at most: brokers don't wait for ever (T17)."""


class Backoff(StrEnum):
    """How the delays between attempts grow."""

    EXPONENTIAL = "exponential"
    """Each may be twice as long as the one before; how long it is, is drawn at random."""
    FIXED = "fixed"
    """All are as long as the first."""


@final
@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What happens when a handler raises, until its message is a dead letter."""

    attempts: int = 3
    """Calls of the handler, the first one included."""
    immediate: int = 3
    """How many of them follow at once; the rest waits, among the timers of the store or in `tiers`. At most `attempts`.
    """
    first: float = 1.0
    """Seconds before the first delayed attempt, at least."""
    longest: float = 300.0
    """Seconds before any delayed attempt, at most."""
    backoff: Backoff = Backoff.EXPONENTIAL
    limit: float | None = None
    """Seconds that one attempt may take; None: any time."""
    tiers: tuple[float, ...] = ()
    """Seconds that attempts wait at the broker, where there is no store: all there is, the shortest first."""

    @property
    def delayed(self) -> int:
        """How many attempts wait."""
        return self.attempts - self.immediate

    def ceiling(self, number: int) -> float:
        """Seconds that delayed attempt `number` (the first is 1) waits at most."""
        if self.backoff is Backoff.FIXED:
            return self.first
        return min(self.longest, self.first * 2.0 ** min(number, 1000))

    def wait(self, number: int) -> float:
        """Seconds that delayed attempt `number` waits at least, where nothing is drawn at random."""
        return self.first if self.backoff is Backoff.FIXED else self.ceiling(number - 1)

    def tier(self, number: int) -> int:
        """Which of `tiers` delayed attempt `number` waits in: the first that is as long as its delay."""
        return self.tier_for(self.wait(number))

    def tier_for(self, seconds: float) -> int:
        """Which of `tiers` a wait of `seconds` becomes: the first that is as long, or the last."""
        return min(bisect_left(self.tiers, seconds), len(self.tiers) - 1)

    @property
    def span(self) -> float:
        """Seconds that all delays together may last."""
        return sum(self.ceiling(number) for number in range(1, self.delayed + 1))
