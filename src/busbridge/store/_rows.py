"""What the store's tables hold, as values."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple

SLOTS: Final = 16
"""Shares that the outbox of a service is divided into, by destination and key: what several relays share out (T15)."""

_LONGEST: Final = 200
"""Characters of a text in a key: the longest key is then well within what an index takes, whatever the characters."""


class InboxKey(NamedTuple):
    """What makes an effect one effect (T2). Its texts are `storable`."""

    place: str
    """`service.subscription/handler`."""
    source: str
    message_id: str
    run: str = ""
    """The replay run; empty for ordinary deliveries (T19)."""


def storable(text: str) -> str:
    """What stands for `text` in a key: itself, or a digest where not every database can hold it.

    PostgreSQL holds no NUL in a text, and no more than 2.7 kB in an entry of an index.
    """
    if len(text) <= _LONGEST and "\0" not in text:
        return text
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class InboxState(StrEnum):
    """How far a message has come at one handler (T1)."""

    RUNNING = "running"
    """Counted before its handler began, since an earlier delivery of it never ended (T7)."""
    HANDLED = "handled"
    SCHEDULED = "scheduled"
    """A later attempt waits among the timers."""
    BLOCKED = "blocked"
    """A later attempt waits, and its broker keeps the message until then: nothing may overtake it."""
    DEAD = "dead"


class InboxRow(NamedTuple):
    """One message at one handler."""

    key: InboxKey
    state: InboxState
    attempt: int
    """Attempts that have ended."""
    crashes: int = 0
    """Attempts that ended with their process."""
    redrive: str = ""
    """The redrive that brought it last; empty if none did."""


class OutboxRow(NamedTuple):
    """One message to one destination, committed with the effects that caused it and not confirmed yet."""

    id: int
    """In the order of insertion; 0 until inserted."""
    slot: int
    message_id: str
    destination: str
    routing_key: str
    key: str | None
    headers: str
    """JSON: a list of pairs."""
    body: bytes
    attempts: int = 0


class Trouble(NamedTuple):
    """That a row of the outbox was not confirmed."""

    id: int
    error: str
    seconds: float | None
    """Until it may be published again; None: it is parked until someone decides."""


class Look(NamedTuple):
    """What a relay has found in the outbox."""

    rows: list[OutboxRow]
    newest: int | None
    """The id of the newest row there ever was, where `rows` is all that the service has; None: it may have more."""


class RunRow(NamedTuple):
    """How far a replay run has come."""

    run: str
    subscription: str
    publish: str
    """What becomes of what its handlers publish."""
    done: bool
    progress: str
    """JSON: of each partition what is handled, what was handed over, and where it ends."""


class TimerRow(NamedTuple):
    """A message that is to be handled again, or published, at a time of the database's clock."""

    id: str
    place: str
    """`service.subscription/handler` of the handler that it goes back to."""
    due: float
    """Seconds since 1970 by the database's clock."""
    attempt: int
    """Attempts that have ended."""
    key: str | None
    headers: str
    body: bytes
    position: str = ""
    """Where it first came from: `partition:offset`, or empty."""


class ParkedRow(NamedTuple):
    """A message that waits in the store until those before it of its key have ended.

    The first of a key is the one that failed: a timer brings it, and this row holds its place.
    """

    subscription: str
    """`service.subscription`."""
    key: str
    place: str
    """`service.subscription/handler` of the handler that it is for."""
    attempt: int
    """Attempts that have ended."""
    headers: str
    body: bytes
    position: str = ""
    """As that of a timer."""
