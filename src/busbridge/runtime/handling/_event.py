"""The envelope of a delivery, also of one that came without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.contract import parse_ref
from busbridge.envelope import Event, decode, new_id
from busbridge.errors import InvalidEnvelope
from busbridge.retry import position_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing import Destination
    from busbridge.transport import Delivery, Kept


def event_of(delivery: Delivery | Kept, destination: Destination) -> Event:
    """The event that was delivered. Raises InvalidEnvelope.

    A body without attributes is the contract that its destination assumes. Its source is the destination; its id is its
    position on a stream, so that it stays the same when delivered again or redriven, and a new one elsewhere, where
    nothing tells two equal messages from one that was delivered twice.
    """
    event = decode(delivery.headers, delivery.body)
    if not event.plain:
        return event
    if destination.assume is None:
        raise InvalidEnvelope(
            f"no CloudEvents attributes, and destination {destination.name!r} does not say which contract to assume "
            f"(assume: NAME@VERSION)"
        )
    name, version = parse_ref(destination.assume)
    position = position_in(delivery.headers) or delivery.position
    attributes = event.attributes | {
        "specversion": "1.0",
        "id": "{}:{}".format(*position) if position else new_id(),
        "source": destination.name,
        "type": name,
        "dataschema": f"{name}/{version}",
    }
    return Event(attributes, event.data, event.headers)


def headers_of(event: Event) -> Mapping[str, str]:
    """Headers beside the CloudEvents attributes, the last of repeated ones; bytes read as UTF-8."""
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for name, value in event.headers
        if value is not None
    }
