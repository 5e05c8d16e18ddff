"""What became of the deliveries of a subscription: each is counted once, under the word for how it ended."""

from __future__ import annotations

from collections import Counter
from typing import final


@final
class Counts:
    """Numbers since the bus opened."""

    __slots__ = (
        "blocked",
        "dead",
        "discarded",
        "duplicate",
        "handled",
        "outbox_full",
        "parked",
        "paused",
        "released",
        "repeated",
        "scheduled",
    )

    def __init__(self) -> None:
        self.handled = 0
        self.paused = False
        """Whether it pauses now, since all its handlers fail: one message is tried now and then."""
        self.outbox_full = False
        """Whether it takes nothing now, since more waits in the outbox of its service than may."""
        self.repeated = 0
        """Attempts after the first."""
        self.duplicate = 0
        """Accepted without a call of the handler: the store knows their message."""
        self.scheduled = 0
        """Put off: a timer of the store, or a tier at the broker, brings the message back."""
        self.blocked = 0
        """Attempts that failed in an ordered subscription, and let their key wait for the next one."""
        self.parked = 0
        """Put in the store behind others of their key, one of which waits for its next attempt."""
        self.released = 0
        """Given back unsettled: cancelled, or their session ended before they began."""
        self.discarded: Counter[str] = Counter()
        """By rule: `not_handled`, `filtered`, and the names in `discard=` of handlers."""
        self.dead: Counter[str] = Counter()
        """By reason."""

    def __repr__(self) -> str:
        discarded, dead = self.discarded.total(), self.dead.total()
        state = " paused" * self.paused + " outbox-full" * self.outbox_full
        return f"<Counts{state} handled={self.handled} repeated={self.repeated} discarded={discarded} dead={dead}>"
