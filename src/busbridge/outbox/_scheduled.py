"""Messages that are to be published later: each a timer, which becomes rows of the outbox when it is due."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from busbridge.outbox._rows import outbox_row
from busbridge.outbox._text import headers_text, key_text
from busbridge.store import TimerRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.outbox._rows import Outgoing
    from busbridge.store import OutboxRow

_NO_ATTEMPT: Final = 0


class Moment(NamedTuple):
    """When a message is to be published: a number of seconds after its transaction, or at a time."""

    delay: float = 0.0
    at: datetime | None = None

    def due(self, now: float) -> float:
        """By the clock that says `now`, in seconds since 1970."""
        return now + self.delay if self.at is None else self.at.timestamp()


class _Parcel(NamedTuple):
    """What is published to one destination, beside the body and the key that all have in common."""

    destination: str
    routing_key: str
    headers: str


def moment(delay: timedelta | float | None, at: datetime | None) -> Moment:
    """What `delay` or `at` say. Raises ValueError for both, for neither, for a delay below 0, for a time of no zone."""
    if (delay is None) == (at is None):
        raise ValueError("a message is published after a `delay` or `at` a time: give one of the two")
    if at is not None:
        if at.tzinfo is None:
            raise ValueError(f"{at!r} needs its offset from UTC: datetime(..., tzinfo=UTC)")
        return Moment(at=at)
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay or 0)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a delay is 0 or more seconds, not {delay!r}")
    return Moment(seconds)


def scheduled_place(service: str) -> str:
    """Where among the timers a service's scheduled messages are: no handler is called so."""
    return f"{service}:publish"


def scheduled_id(service: str, message_id: str) -> str:
    """What the timer of a message is called, so that two services may keep the same message."""
    return f"{service}:{message_id}"


def to_scheduled(prepared: Outgoing, contract: str, service: str, due: float) -> TimerRow:
    """The timer that keeps a message, encoded for each of its destinations, until `due`."""
    parcels = [(each.destination.name, each.routing_key, headers_text(each.headers)) for _, each in prepared.entries]
    first = prepared.entries[0][1]
    return TimerRow(
        scheduled_id(service, prepared.id),
        scheduled_place(service),
        due,
        _NO_ATTEMPT,
        key_text(first.key),
        json.dumps([contract, parcels]),
        first.body or b"",
    )


def released(row: TimerRow) -> Iterator[OutboxRow]:
    """The rows of the outbox that a timer becomes, with the id that its message was given."""
    for each in _parcels(row):
        yield outbox_row(message_id_of(row), each.destination, each.routing_key, row.key, each.headers, row.body)


def scheduled_what(row: TimerRow) -> tuple[str, str, tuple[str, ...]]:
    """Which message a timer keeps: its id, the name of its contract, the names of its destinations."""
    contract, _ = json.loads(row.headers)
    return message_id_of(row), contract, tuple(each.destination for each in _parcels(row))


def _parcels(row: TimerRow) -> list[_Parcel]:
    _, parcels = json.loads(row.headers)
    return [_Parcel(*each) for each in parcels]


def message_id_of(row: TimerRow) -> str:
    """The id that a message was given when it was scheduled."""
    return row.id.partition(":")[2]
