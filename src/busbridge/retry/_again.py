"""What a dead letter is sent again with: the message as it was published, and that a redrive brings it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.retry._names import OURS, PREFIX, REDRIVE, REDRIVES

if TYPE_CHECKING:
    from busbridge.transport import Headers

_BROKERS: Final = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""What a broker counts by: a message that kept it would be given up at once."""
_ALIASES: Final = ("__connect.errors.", "kafka_dlt-")
"""The record once more, as other tools call it. Only after the record's own: the message may have come with such."""


def redriven_headers(headers: Headers, redrive: str) -> list[tuple[str, object]]:
    """The original headers of a dead letter, without its record, our counters and the broker's, and the redrive's id.

    Order and repeats are kept. The message's id is among its attributes, and stays.
    """
    kept: list[tuple[str, object]] = []
    recorded = False
    times = 1
    for name, value in headers:
        recorded = recorded or name.startswith(PREFIX)
        if name == REDRIVES:
            times = 1 + _count(value)
        elif not _is_added(name, recorded=recorded):
            kept.append((name, value))
    return [*kept, (REDRIVE, redrive), (REDRIVES, str(times))]


def redrive_of(headers: Headers) -> str:
    """The id of the redrive that brought a message; empty if none did."""
    for name, value in headers:
        if name == REDRIVE:
            return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ""


def _is_added(name: str, *, recorded: bool) -> bool:
    return name.startswith((OURS, *_BROKERS)) or (recorded and name.startswith(_ALIASES))


def _count(value: object) -> int:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return int(text) if text.isdecimal() else 0
