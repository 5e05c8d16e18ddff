"""The record added to a dead letter: why it is dead, where it came from, how often it was tried.

A dead letter is the original message, byte for byte, with these headers added after its own. All values are strings, so
that every broker carries them and every client reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Delivery, Headers

PREFIX: Final = "busbridge-dead-"
"""What the names of the added headers begin with."""

_LONGEST_TEXT: Final = 1000
"""Characters of an error's text that are kept: AMQP bounds a message's headers by one frame."""


class Reason(StrEnum):
    """Why a message is dead."""

    INVALID_ENVELOPE = "invalid_envelope"
    """No CloudEvent, and the destination assumes no contract."""
    UNKNOWN_CONTRACT = "unknown_contract"
    UNKNOWN_VERSION = "unknown_version"
    INVALID_MESSAGE = "invalid_message"
    """The body does not fit its contract, or an upcaster failed."""
    NOT_HANDLED = "not_handled"
    """The subscription has no handler for this contract."""
    FAILED = "failed"
    """The handler raised in every attempt."""
    FATAL = "fatal"
    """The handler raised an error that it declares fatal."""
    PUBLISH_REFUSED = "publish_refused"
    """A broker refused what the handler published."""
    CRASHED = "crashed"
    """The process died while it was handled, once too often."""
    EXPIRED = "expired"
    """It stood unread in its queue longer than the queue's ttl."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is read back: the record, and the original message."""

    reason: str
    error_type: str
    error: str
    service: str
    subscription: str
    destination: str
    attempts: int
    time: str
    body: bytes | None
    headers: Headers
    """The original headers, without the record."""


def record_of(
    reason: Reason, error: BaseException, delivery: Delivery, plan: SubscriptionPlan, attempts: int
) -> Headers:
    """The pairs to add to the dead letter of `delivery`."""
    record = [
        (f"{PREFIX}reason", reason.value),
        (f"{PREFIX}error-type", f"{type(error).__module__}.{type(error).__qualname__}"),
        (f"{PREFIX}error", words_of(error)[:_LONGEST_TEXT]),
        (f"{PREFIX}service", plan.service),
        (f"{PREFIX}subscription", plan.name),
        (f"{PREFIX}destination", plan.destination.name),
        (f"{PREFIX}attempts", str(attempts)),
        (f"{PREFIX}time", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    ]
    if delivery.position is not None:
        record.append((f"{PREFIX}position", f"{delivery.position.partition}:{delivery.position.offset}"))
    return record


def read_record(body: bytes | None, headers: Headers) -> DeadLetter:
    """The dead letter that a message of a dead-letter place is. Missing parts of the record read as empty."""
    record = {name.removeprefix(PREFIX): _text(value) for name, value in headers if name.startswith(PREFIX)}
    return DeadLetter(
        reason=record.get("reason", ""),
        error_type=record.get("error-type", ""),
        error=record.get("error", ""),
        service=record.get("service", ""),
        subscription=record.get("subscription", ""),
        destination=record.get("destination", ""),
        attempts=_number(record),
        time=record.get("time", ""),
        body=body,
        headers=[pair for pair in headers if not pair[0].startswith(PREFIX)],
    )


def words_of(error: BaseException) -> str:
    """What a handler's error says, as UTF-8 can carry it, also where asking it fails."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception as failure:  # noqa: BLE001 - the error's own: a dead letter without its words is better than none
        return f"<its text failed with {type(failure).__qualname__}>"


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _number(record: Mapping[str, str]) -> int:
    attempts = record.get("attempts", "")
    return int(attempts) if attempts.isdecimal() else 0
