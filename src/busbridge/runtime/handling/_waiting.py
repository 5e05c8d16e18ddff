"""Deliveries that wait in their place for their next attempt. Their keys wait with them, their lanes don't (T17)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from busbridge.transport import Delivery

    Back = Callable[[Sequence[Delivery]], None]
    """Lets deliveries be handled again, before any others that wait there."""

_LOOK: Final = 0.2
"""Seconds between two looks whether what waits may still be handled here: no event tells."""


@final
class _Line:
    """One that waits, and those behind it."""

    __slots__ = ("back", "deliveries", "due")

    def __init__(self, deliveries: Iterable[Delivery], due: float, back: Back) -> None:
        self.deliveries = deque(deliveries)
        self.due = due
        self.back = back


@final
class Waiting:
    """Of one subscription in this process.

    Nothing of it is settled, so that the source's prefetch bounds how much waits: once it is used up, nothing more
    comes, for no key.
    """

    def __init__(self, release: Callable[[Delivery], None]) -> None:
        """`release` gives a delivery back to the broker."""
        self.lines: Final[dict[Hashable, _Line]] = {}
        """By key; by something unique where there is no order."""
        self._release = release
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, key: Hashable, deliveries: Iterable[Delivery], seconds: float, back: Back) -> None:
        """Lets the first of `deliveries` wait, the others behind it."""
        line = self.lines[key] = _Line(deliveries, self._loop.time() + seconds, back)
        if self._ended:
            self._empty(line)
        elif self._timer is None:
            self._schedule()
        elif line.due < self._timer.when():
            self._timer.cancel()
            self._schedule()

    def pass_by(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Those whose key does not wait; the others line up behind."""
        return [each for each in deliveries if not self._takes(each)]

    def _takes(self, delivery: Delivery) -> bool:
        line = self.lines.get(delivery.key) if delivery.key is not None else None
        if line is None:
            return False
        if self._ended:
            self._release(delivery)
        else:
            line.deliveries.append(delivery)
        return True

    def end(self) -> None:
        """Releases all that waits, now, and what comes for the same keys after it. Twice is fine."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for line in self.lines.values():
            self._empty(line)

    def _empty(self, line: _Line) -> None:
        while line.deliveries:
            self._release(line.deliveries.popleft())

    def _schedule(self) -> None:
        next_due = min(line.due for line in self.lines.values())
        self._timer = self._loop.call_at(min(next_due, self._loop.time() + _LOOK), self._look)

    def _look(self) -> None:
        self._timer = None
        for key, line in list(self.lines.items()):
            first = line.deliveries[0]
            self._drop_lost(line)
            if line.due <= self._loop.time() or not first.session.taking:
                del self.lines[key]
                line.back(line.deliveries)
        if self.lines:
            self._schedule()

    def _drop_lost(self, line: _Line) -> None:
        """Those of a session that has ended come again in another one, in their order."""
        kept = [each for each in line.deliveries if each.session.taking]
        for each in line.deliveries:
            if not each.session.taking:
                self._release(each)
        line.deliveries = deque(kept)

    def __repr__(self) -> str:
        count = sum(len(each.deliveries) for each in self.lines.values())
        return f"<Waiting, {count} messages of {len(self.lines)} keys>"
