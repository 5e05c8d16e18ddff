"""One assignment of a partition: what was handed over of it, and how far it is finished without a gap.

The event loop writes, the thread that owns the consumer reads: each value it needs is one attribute or the head of one
deque, and both sides keep to an order of steps in which a value read too early is only too low.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from busbridge.transport import Session


@final
class Assignment(Session):
    """A partition in this process, from being assigned until it is revoked or lost."""

    __slots__ = (
        "_ahead",
        "_next",
        "_window",
        "committed",
        "doubtful",
        "given_back",
        "known",
        "partition",
        "paused",
        "told",
    )

    def __init__(self, partition: int, start: int, window: int = 0, known: int = 0) -> None:
        """`window`: messages that may have begun before, where an earlier assignment ended without saying so.

        `known`: the offset below which they have, as it did say.
        """
        super().__init__()
        self.partition: Final = partition
        self.known: Final = max(start, known)
        self.doubtful: Final = self.known + window
        """The offset below which a message may have been handed over before (T7)."""
        self.committed = start
        """What the broker knows to be finished. Written by the owner of the consumer."""
        self.told = self.known
        """Below which messages may have begun, as the broker knows. Written by the owner of the consumer."""
        self.paused = False
        """Whether too much stands behind an unfinished message. Written by the owner of the consumer."""
        self.given_back = 0
        """Deliveries that nobody holds, and that are not finished: released, or waiting for another attempt."""
        self._next = start
        self._window: deque[int] = deque()
        self._ahead: set[int] = set()

    def begin(self, offset: int) -> None:
        """The message at `offset` is handed over; offsets come in order, with gaps where the log has them."""
        self._window.append(offset)  # before `_next`: see `watermark`
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """The message at `offset` needs nothing more."""
        window = self._window
        if offset != window[0]:
            self._ahead.add(offset)
            return
        window.popleft()
        while window and window[0] in self._ahead:
            self._ahead.discard(window.popleft())

    @property
    def watermark(self) -> int:
        """The offset below which everything is finished: what may be committed."""
        end = self._next  # before the window: read after it, it could pass a message begun in between
        try:
            return self._window[0]
        except IndexError:
            return end

    @property
    def begun(self) -> int:
        """The offset below which messages may have begun, here or in an earlier assignment."""
        return max(self._next, self.known)

    @property
    def touched(self) -> bool:
        """Whether a message that is not finished may have begun."""
        return self.begun > self.watermark

    @property
    def span(self) -> int:
        """Messages from the first unfinished one to the last begun one."""
        return len(self._window)

    @property
    def held(self) -> int:
        """Messages that a handler may still be working on."""
        return len(self._window) - len(self._ahead) - self.given_back

    def __repr__(self) -> str:
        state = "alive" if self.alive else "gone"
        return f"<Assignment of {self.partition}, {state}, finished below {self.watermark}, committed {self.committed}>"
