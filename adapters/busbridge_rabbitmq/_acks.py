"""Which deliveries of a channel are finished, and what to acknowledge: never a delivery that is not finished."""

from __future__ import annotations

from typing import final


@final
class Acks:
    """Finished deliveries of one channel, whose tags count up from 1 without gaps.

    The finished prefix is acknowledged by one cumulative ack. What is finished behind a delivery that still runs is
    acknowledged one by one, though only on demand (`stuck`), so that a stuck head can't exhaust the prefetch (T17).
    """

    __slots__ = ("_acked", "_behind", "_head", "_singly")

    def __init__(self) -> None:
        self._head = 1
        """The lowest tag that is not finished."""
        self._acked = 0
        """The end of the prefix when it was last asked for."""
        self._behind: set[int] = set()
        """Finished beyond the head, not acknowledged."""
        self._singly: set[int] = set()
        """Settled by other means than a cumulative ack, and not yet behind the prefix."""

    @property
    def behind(self) -> int:
        """How many are finished, but wait for the head."""
        return len(self._behind)

    def finish(self, tag: int) -> None:
        """Notes that a delivery is finished."""
        if tag != self._head:
            self._behind.add(tag)
            return
        self._head += 1
        if self._behind or self._singly:
            self._advance()

    def _advance(self) -> None:
        while True:
            if self._head in self._behind:
                self._behind.remove(self._head)
            elif self._head not in self._singly:
                return
            self._head += 1

    def forget(self, tag: int) -> None:
        """Notes that the broker has a delivery back: it is not to be acknowledged, nor in the way of others."""
        self._singly.add(tag)
        self._advance()

    def prefix(self) -> int | None:
        """The tag for a cumulative ack now, if there is one. It is never one that the broker has already forgotten."""
        tag = end = self._head - 1
        while tag in self._singly:
            tag -= 1
        acked, self._acked = self._acked, end
        if self._singly:
            self._singly = {each for each in self._singly if each > end}
        return tag if tag > acked else None

    def stuck(self) -> list[int]:
        """The tags to acknowledge one by one now: all that is finished behind the head."""
        tags = sorted(self._behind)
        self._behind.clear()
        self._singly.update(tags)
        return tags
