"""A dead letter as it is read back: the record, and the original message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from busbridge.retry._names import PREFIX
from busbridge.retry._reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.transport import Headers

_BROKERS_REASONS: Final = {"expired": Reason.EXPIRED.value}
_DEATHS: Final = "x-death"
"""Where a broker that moved a message by itself says why (AMQP)."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What the record says, empty where it says nothing, and the message as it was published."""

    reason: str
    """A `Reason`, or what a broker calls its own."""
    error_type: str
    error: str
    service: str
    subscription: str
    destination: str
    attempts: int
    time: str
    """When it was given up, RFC 3339 in UTC."""
    body: bytes | None
    headers: Headers
    """The original headers, without the record."""
    id: str = ""
    """Its own id as a dead letter: a message that dies twice has two."""
    stack: str = ""
    handler: str = ""
    version: str = ""
    """Of the service."""
    first_time: str = ""
    """When its first attempt failed."""
    origin: str = ""
    """The physical name of what it came from: a queue, a topic, a Kafka topic."""
    position: str = ""
    """Its partition and offset there, on a stream."""
    redrive: str = ""
    """The redrive that had brought it, if one had."""


def read_record(body: bytes | None, headers: Headers) -> DeadLetter:
    """The dead letter that a message of a dead-letter place is. Missing parts of the record read as empty."""
    record = {name.removeprefix(PREFIX): _text(value) for name, value in headers if name.startswith(PREFIX)}
    death = _death(headers)
    return DeadLetter(
        reason=record.get("reason", "") or death.get("reason", ""),
        error_type=record.get("error-type", ""),
        error=record.get("error", ""),
        service=record.get("service", ""),
        subscription=record.get("subscription", ""),
        destination=record.get("destination", ""),
        attempts=_number(record),
        time=record.get("time", "") or death.get("time", ""),
        body=body,
        headers=[pair for pair in headers if not pair[0].startswith(PREFIX)],
        id=record.get("id", ""),
        stack=record.get("stack", ""),
        handler=record.get("handler", ""),
        version=record.get("version", ""),
        first_time=record.get("first-time", ""),
        origin=record.get("origin", "") or death.get("queue", ""),
        position=record.get("position", ""),
        redrive=record.get("redrive", ""),
    )


def _death(headers: Headers) -> dict[str, str]:
    """What the broker says of the last time that it moved the message by itself; empty if it did not."""
    deaths = next((value for name, value in headers if name == _DEATHS), None)
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
        return {}
    last = cast("dict[str, Any]", deaths[0])
    reason = _text(last.get("reason", ""))
    time: object = last.get("time")
    return {
        "reason": _BROKERS_REASONS.get(reason, reason),
        "time": time.isoformat().replace("+00:00", "Z") if isinstance(time, datetime) else "",
        "queue": _text(last.get("queue", "")),
    }


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _number(record: Mapping[str, str]) -> int:
    attempts = record.get("attempts", "")
    return int(attempts) if attempts.isdecimal() else 0
