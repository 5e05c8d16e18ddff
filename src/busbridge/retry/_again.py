"""What a dead letter is sent again with: the message as it was published, and that a redrive brings it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.retry._names import OURS, POSITION, PREFIX, REDRIVE, REDRIVES, RUN

if TYPE_CHECKING:
    from busbridge.transport import Headers

_BROKERS: Final = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""What a broker counts by: a message that kept it would be given up at once."""
RECORDED_POSITION: Final = f"{PREFIX}position"
_RECORDED: Final = ((RECORDED_POSITION, POSITION), (f"{PREFIX}run", RUN))
"""What of a record a redriven message still tells, and how."""
_ALIASES: Final = ("__connect.errors.", "kafka_dlt-")
"""The record once more, as other tools call it. Only after the record's own: the message may have come with such."""


def redriven_headers(headers: Headers, redrive: str) -> list[tuple[str, object]]:
    """The original headers of a dead letter, without its record, our counters and the broker's, and the redrive's id.

    Order and repeats are kept. The message's id is among its attributes, and stays.
    """
    kept: list[tuple[str, object]] = []
    ours: dict[str, str] = {}
    recorded = False
    for name, value in headers:
        recorded = recorded or name.startswith(PREFIX)
        if name.startswith(OURS):
            ours[name] = _text(value)
        elif not _is_added(name, recorded=recorded):
            kept.append((name, value))
    times = ours.get(REDRIVES, "")
    kept += [(REDRIVE, redrive), (REDRIVES, str(int(times) + 1) if times.isdecimal() else "1")]
    return [*kept, *((name, ours[recorded]) for recorded, name in _RECORDED if recorded in ours)]


def redrive_of(headers: Headers) -> str:
    """The id of the redrive that brought a message; empty if none did."""
    for name, value in headers:
        if name == REDRIVE:
            return _text(value)
    return ""


def run_of(headers: Headers) -> str:
    """The replay run that a redriven message is handled in; empty if none."""
    for name, value in headers:
        if name == RUN:
            return _text(value)
    return ""


def position_in(headers: Headers) -> tuple[int, int] | None:
    """Partition and offset of a message that came by another way than its stream; None: it says nothing of it."""
    for name, value in headers:
        if name == POSITION:
            partition, _, offset = _text(value).partition(":")
            return (int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else None
    return None


def _is_added(name: str, *, recorded: bool) -> bool:
    return name.startswith(_BROKERS) or (recorded and name.startswith(_ALIASES))


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
