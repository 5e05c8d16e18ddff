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
    run = (run_of(event.headers) if event.headers else "") if plan.run is None else plan.run.id
    return Identity(place_of(bound, plan), event.source, _id(event, message, bound.idempotency_key), run)


def place_of(bound: Bound, plan: SubscriptionPlan) -> str:
    """What the store calls a handler: `service.subscription/handler`."""
    return f"{plan.service}.{bound.name}"


def _id(event: Event, message: Contract, field: str | None) -> str:
    if field is None:
        return event.id
    value: object = getattr(message, field)
    if value is None or value == "":
        raise InvalidMessage(f"{field!r}, which identifies the message, is empty")
    return f"{field}={value}"
