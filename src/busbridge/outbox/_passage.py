"""One destination of an outbox: whether rows may leave for it now, and how many of them at a time."""

from __future__ import annotations

import logging
import math
import sys
from typing import TYPE_CHECKING, Final, final

from busbridge.outbox._outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.outbox._flight import Flight

_log = logging.getLogger("busbridge.outbox")

_ALL: Final = sys.maxsize
_PLENTY: Final = 1000
"""Rows that a queue which was full takes at a time when it is no longer looked after: what a relay reads at a time."""


@final
class Passage:
    """`landed` after each flight. A destination that is away, or full, is left alone for a while.

    A queue that is full is offered twice as many rows as it took last, so that no more than half of them are refused,
    and nothing but this remembers it: the rows stay as they are, first come first served.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.opens = -math.inf
        """When rows may leave again, by `clock`."""
        self.most = _ALL
        """How many rows at a time."""
        self._clock = clock
        self._outage = Outage(_log, f"{name!r} does not take what waits in the outbox", clock)

    def landed(self, flight: Flight, failure: Exception | None) -> None:
        """`failure`: what ended the flight, if it did not end by itself."""
        if flight.full is not None:
            self._narrow(flight.confirmed, flight.full)
        elif failure is not None or flight.in_vain:
            self._pause(failure or flight.missed[0][1].error)
        else:
            self._widen()

    def _narrow(self, taken: int, error: BaseException) -> None:
        self.most = max(1, 2 * taken)
        if taken:
            self._outage.eased()
        self._pause(error)

    def _widen(self) -> None:
        self.opens = -math.inf
        self.most *= 2
        if self.most >= _PLENTY:
            self.most = _ALL
            self._outage.over()
        else:
            self._outage.eased()

    def _pause(self, error: BaseException | None) -> None:
        self.opens = self._clock() + self._outage.failed(error)
