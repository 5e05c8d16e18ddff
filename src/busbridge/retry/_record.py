"""The record that is added to a dead letter: why it is dead, where it came from, how often it was tried.

A dead letter is the original message, byte for byte, with these headers added after its own. All values are strings, so
that every broker carries them and every client reads them. The contract `busbridge.dead-letter` describes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from busbridge.envelope import new_id
from busbridge.retry._names import FIRST_FAILED, POSITION, PREFIX, REDRIVE, RUN
from busbridge.retry._told import LONGEST_STACK, LONGEST_WORDS, redacted, stack_of, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.retry._reason import Reason
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Delivery, Headers

_TOLD: Final = frozenset({FIRST_FAILED, POSITION, REDRIVE, RUN})
"""Headers of a delivery that its record takes over."""


def record_of(
    reason: Reason,
    error: BaseException,
    delivery: Delivery,
    plan: SubscriptionPlan,
    attempts: int,
    *,
    handler: str = "",
    since: str = "",
) -> Headers:
    """The pairs to add to the dead letter of `delivery`; what is not known is left out.

    `since`: when its first attempt failed, as `moment` writes it, where that was not this one.
    """
    told = dict(pair for pair in delivery.headers if pair[0] in _TOLD)
    now = moment()
    pairs = [
        ("reason", reason.value),
        ("id", new_id()),
        *_error(error, plan),
        ("service", plan.service),
        ("version", plan.version),
        ("subscription", plan.name),
        ("handler", handler),
        ("destination", plan.destination.name),
        ("origin", plan.destination.physical),
        ("position", _text(told.get(POSITION)) or _position(delivery)),
        ("attempts", str(attempts)),
        ("first-time", _text(told.get(FIRST_FAILED)) or since or now),
        ("time", now),
        ("redrive", _text(told.get(REDRIVE))),
        ("run", _text(told.get(RUN)) if plan.run is None else plan.run.id),
    ]
    return [(PREFIX + name, value) for name, value in pairs if value]


def _position(delivery: Delivery) -> str:
    return f"{delivery.position.partition}:{delivery.position.offset}" if delivery.position else ""


def moment() -> str:
    """Now, as a record tells it: RFC 3339, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(error: BaseException, plan: SubscriptionPlan) -> Iterator[tuple[str, str]]:
    """Redacted before it is cut: what a pattern stands for must not be halved."""
    told = plan.telling
    yield "error-type", f"{type(error).__module__}.{type(error).__qualname__}"
    yield "error", redacted(words_of(error), told.redact)[:LONGEST_WORDS]
    if told.stack:
        yield "stack", redacted(stack_of(error), told.redact)[-LONGEST_STACK:]


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
