"""The decisions as a table: what the documents show of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.outbox._decide import CRASHES, Arrival, decide
from busbridge.store import InboxKey, InboxRow, InboxState

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = InboxKey("stock.reserve/reserve", "shop", "m1")
_NOW: Final = "now"

STATES: Final[Mapping[str, InboxRow | None]] = {
    "not known": None,
    "running": InboxRow(_KEY, InboxState.RUNNING, 0, 0, _NOW),
    f"running, after {CRASHES - 1} crashes": InboxRow(_KEY, InboxState.RUNNING, 0, CRASHES - 1, _NOW),
    "running, from a timer": InboxRow(_KEY, InboxState.RUNNING, 2, 0, _NOW),
    "scheduled": InboxRow(_KEY, InboxState.SCHEDULED, 2, 0, _NOW),
    "blocked": InboxRow(_KEY, InboxState.BLOCKED, 2, 0, _NOW),
    "handled": InboxRow(_KEY, InboxState.HANDLED, 1, 0, _NOW),
    "dead": InboxRow(_KEY, InboxState.DEAD, 3, 0, _NOW),
}
"""What the inbox knows. Each stands for a row of one redrive, so that a copy can be older or newer than it."""

ARRIVALS: Final[Mapping[str, Arrival]] = {
    "from the broker: the first time, or a second copy": Arrival(redrive=_NOW),
    "from the broker: delivered again": Arrival(redelivered=True, redrive=_NOW),
    "in order, from the broker, which keeps it": Arrival(kept=True, redrive=_NOW),
    "in order, from the broker: delivered again": Arrival(redelivered=True, kept=True, redrive=_NOW),
    "by its timer": Arrival(2, timer=True, redrive=_NOW),
    "by the timer of an earlier attempt": Arrival(1, timer=True, redrive=_NOW),
    "by a new redrive": Arrival(redrive="next"),
    "by a new redrive, delivered again": Arrival(redelivered=True, redrive="next"),
    "from the broker, late: a redrive has followed": Arrival(redelivered=True),
    "by a timer, late: a redrive has followed": Arrival(2, timer=True),
}
"""How a message may come."""


def decision_table() -> list[list[str]]:
    """How a message came and the action for each state of its row: a head, then a line for each arrival."""
    head = ["comes", *STATES]
    return [head, *([name, *(_cell(row, each) for row in STATES.values())] for name, each in ARRIVALS.items())]


def _cell(row: InboxRow | None, arrival: Arrival) -> str:
    return decide(row, arrival).action.value
