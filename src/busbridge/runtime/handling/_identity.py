"""What makes a message the same message, for a handler: by its envelope, or by a field where producers keep no ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from busbridge.envelope import derived_id
from busbridge.errors import InvalidMessage
from busbridge.retry import run_of

if TYPE_CHECKING:
    from busbridge.contract import Contract
    from busbridge.envelope import Event
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Bound

_ONLY = 0
"""The ordinal: a message has one key at a handler."""


class Identity(NamedTuple):
    """One message at one handler (T2)."""

    place: str
    """`service.subscription/handler`."""
    source: str
    message_id: str
    """The envelope's, or `field=value`."""
    run: str = ""
    """The replay run; empty for what is published (T19)."""

    @property
    def key(self) -> str:
        """A key for outside interfaces: the same whenever the handler runs for the message, another for any other.

        Also in a replay: who was asked once must be able to tell that it is the same again.
        """
        return derived_id(self.source, self.message_id, self.place, _ONLY)


def identity_of(event: Event, message: Contract, bound: Bound, plan: SubscriptionPlan) -> Identity:
    """Raises InvalidMessage where the field that identifies the message is empty."""
    return Identity(bound.place, event.source, message_id_of(event, message, bound), run_id_of(event, plan))


def run_id_of(event: Event, plan: SubscriptionPlan) -> str:
    """The replay run that the message is handled in; empty if none."""
    if plan.run is not None:
        return plan.run.id
    return run_of(event.headers) if event.headers else ""


def message_id_of(event: Event, message: Contract, bound: Bound) -> str:
    """The envelope's, or `field=value`. Raises InvalidMessage where that field is empty."""
    field = bound.idempotency_key
    if field is None:
        return event.id
    value: object = getattr(message, field)
    if value is None or value == "":
        raise InvalidMessage(f"{field!r}, which identifies the message, is empty")
    return f"{field}={value}"
