"""What becomes of a message that arrives at a handler, by what the inbox knows of it and how it came (T1).

Nothing here reads or writes: the same row and arrival always give the same decision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from busbridge.store import InboxState

if TYPE_CHECKING:
    from busbridge.store import InboxRow

CRASHES: Final = 3
"""Attempts that ended with their process, after which a message is dead."""


class Action(StrEnum):
    """What to do with a message."""

    HANDLE = "handle"
    """Handle it, together with others."""
    COUNT = "count"
    """Commit first that it is running, then handle it: if its process dies of it, that will be known."""
    ALONE = "alone"
    """It began before and never ended. Commit first that this was a crash, then handle it in a transaction of its own,
    so that it takes no other message with it."""
    CRASHED = "crashed"
    """It never ended once too often: it is dead, and its handler is not called."""
    DUPLICATE = "duplicate"
    """It has been handled, or another copy of it is on its way: accept it, a timer is dropped."""
    BURY = "bury"
    """It is dead, and perhaps its dead letter never came to be: reject it again."""


class Arrival(NamedTuple):
    """How a message came."""

    attempt: int = 0
    """Attempts that had ended when it was sent on its way: none, from a broker; those that a timer carries."""
    redelivered: bool = False
    """It was handed over before, to somebody who may have died of it."""
    timer: bool = False
    kept: bool = False
    """Its broker keeps it between its attempts, so that any of them comes from there: an ordered subscription."""
    redrive: str = ""
    """The redrive that brings it; empty for the message itself."""


class Decision(NamedTuple):
    """What to do with a message, and how far it had come."""

    action: Action
    ended: int = 0
    """Attempts that have ended; the next one is one more."""
    crashes: int = 0
    """Attempts that ended with their process, one that was only now found out included."""
    redrive: str = ""
    """The redrive that brings it."""


_FIRST: Final = Decision(Action.HANDLE)
"""What nearly every message gets, made once."""


def decide(row: InboxRow | None, arrival: Arrival) -> Decision:
    """What to do with a message whose row in the inbox is `row`; None: it is not known yet, or not known any more."""
    decision = _anew(arrival) if row is None else _known(row, arrival)
    return decision._replace(redrive=arrival.redrive) if arrival.redrive else decision


def _known(row: InboxRow, arrival: Arrival) -> Decision:
    if row.state is InboxState.HANDLED:
        return Decision(Action.DUPLICATE, row.attempt, row.crashes)
    if arrival.redrive != row.redrive:
        return _other_redrive(row, arrival)
    return _of_the_same(row, arrival)


def _of_the_same(row: InboxRow, arrival: Arrival) -> Decision:
    match row.state:
        case InboxState.RUNNING:
            return _unfinished(row, arrival)
        case InboxState.SCHEDULED:
            action = Action.COUNT if arrival.timer and arrival.attempt >= row.attempt else Action.DUPLICATE
        case InboxState.BLOCKED:
            again = Action.COUNT if arrival.redelivered else Action.HANDLE
            action = Action.DUPLICATE if arrival.timer else again
        case InboxState.DEAD:  # a timer's dead letter was committed with the row: there is nothing to repeat
            action = Action.DUPLICATE if arrival.timer else Action.BURY
        case InboxState.HANDLED:
            action = Action.DUPLICATE
    return Decision(action, row.attempt, row.crashes)


def _anew(arrival: Arrival) -> Decision:
    if arrival.redelivered or arrival.timer:
        return Decision(Action.COUNT, arrival.attempt)
    return _FIRST


def _other_redrive(row: InboxRow, arrival: Arrival) -> Decision:
    """A redrive begins anew, whatever became of the message before. What it supersedes is a copy that came late."""
    superseded = arrival.timer or not arrival.redrive
    return Decision(Action.DUPLICATE, row.attempt, row.crashes) if superseded else _anew(arrival)


def _unfinished(row: InboxRow, arrival: Arrival) -> Decision:
    if arrival.attempt < row.attempt and not arrival.kept:  # what runs is the attempt of a later timer
        return Decision(Action.DUPLICATE, row.attempt, row.crashes)
    crashes = row.crashes + 1
    return Decision(Action.CRASHED if crashes >= CRASHES else Action.ALONE, row.attempt, crashes)
