"""When a subscription pauses whose handlers all fail, and how it finds out that they work again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

LONGEST_PROBE: Final = 60.0
"""Seconds between two tries, at most: what a subscription may be late in noticing that all is well again."""


@final
@dataclass(frozen=True, slots=True)
class PausePlan:
    """On by default: a service whose database is away must not empty its queues into its dead letters."""

    after: int = 10
    """Messages that fail in a row, over all lanes of a process, until it pauses; 0: never."""
    probe: float = 5.0
    """Seconds until the next message is tried; twice as long after each that fails, up to a minute."""

    def wait(self, failed: int) -> float:
        """Seconds until the next try, after `failed` ones."""
        return max(self.probe, min(LONGEST_PROBE, self.probe * 2.0 ** min(failed, 1000)))
