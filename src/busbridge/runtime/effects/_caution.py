"""Whether handlers are called in savepoints: only where one has failed of late, or may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.runtime.effects._work import Work

_FIRST: Final = 2
"""Transactions with savepoints that follow on a failure: the one that is begun anew, and another."""
_MOST: Final = 512


@final
class Caution:
    """Of one subscription. The longer handlers go on failing, the longer it lasts."""

    __slots__ = ("_left", "_next")

    def __init__(self) -> None:
        self._left = 0
        self._next = _FIRST

    def bare(self, works: Iterable[Work]) -> bool:
        """Whether the next transaction may go without savepoints. Asked once for each."""
        if self._left:
            self._left -= 1
            return False
        if any(work.failed is not None or work.timer is not None for work in works):
            return False
        self._next = max(_FIRST, self._next - 1)
        return True

    def failed(self) -> None:
        """A handler has failed in a transaction without."""
        self._left = self._next
        self._next = min(_MOST, 4 * self._next)
