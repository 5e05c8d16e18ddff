"""A database or broker that is away: how long to wait before the next try, and when to say so."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_QUIET: Final = 30.0
"""Seconds between two lines in the log that say the same."""


@final
class Outage:
    """What failed, again and again, until it works: `failed` after each failure, `over` once it works.

    `what` begins the lines in the log.
    """

    def __init__(self, log: Logger, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._what = what
        self._clock = clock
        self._longest = _FIRST_PAUSE
        self._since: float | None = None
        self._told = 0.0

    def failed(self, error: BaseException | None) -> float:
        """Seconds to wait before the next try, drawn at random, longer each time. Says so now and then."""
        now = self._clock()
        if self._since is None or now - self._told >= _QUIET:
            self._told = now
            self._log.warning("%s, trying again: %s", self._what, error)
        if self._since is None:
            self._since = now
        pause = random.uniform(0.5, 1.0) * self._longest  # noqa: S311 - jitter
        self._longest = min(2 * self._longest, _LONGEST_PAUSE)
        return pause

    def eased(self) -> None:
        """A part of it works: the pauses are short again."""
        self._longest = _FIRST_PAUSE

    def over(self) -> None:
        """It works, and says so if it did not before."""
        if self._since is not None:
            self._log.info("%s no more, after %.0f s", self._what, self._clock() - self._since)
            self._since, self._longest = None, _FIRST_PAUSE
