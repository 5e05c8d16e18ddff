"""The kit's own messages: what is published, and how it is known again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from busbridge.transport import Entry

if TYPE_CHECKING:
    from busbridge.routing import Destination
    from busbridge.transport import Delivery, Headers

ROUTING_KEY = "conformance.message"
_MARK = "mark-"


def mark_id(name: str) -> str:
    """The id of a message that belongs to no count: it marks how far reading has come."""
    return f"{_MARK}{name}"


def is_mark(message_id: str) -> bool:
    """True for an id of `mark_id`."""
    return message_id.startswith(_MARK)


def headers_of(prefix: str, message_id: str, key: str | None) -> list[tuple[str, str]]:
    """The headers that busbridge itself would write: a CloudEvent in binary mode."""
    headers = [
        ("content-type", "application/json"),
        (f"{prefix}specversion", "1.0"),
        (f"{prefix}id", message_id),
        (f"{prefix}source", "conformance"),
        (f"{prefix}type", ROUTING_KEY),
    ]
    return headers if key is None else [*headers, (f"{prefix}partitionkey", key)]


def entry_of(
    destination: Destination,
    prefix: str,
    message_id: str,
    key: str | None = None,
    body: bytes | None = None,
    routing_key: str = ROUTING_KEY,
) -> Entry:
    """A message to publish."""
    content = json.dumps({"id": message_id}).encode() if body is None else body
    return Entry(destination, content, headers_of(prefix, message_id, key), key, routing_key)


def text_of(value: object) -> str:
    """A header's value or a key as text, whether the broker gives str or bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def header_of(headers: Headers, ending: str) -> str | None:
    """The value of the first header whose name ends so, as text."""
    return next((text_of(value) for name, value in headers if name.endswith(ending)), None)


def message_id_of(delivery: Delivery) -> str:
    """The id that the message was published with; what has none gets one that nobody published."""
    for name, value in delivery.headers:
        if name in ("ce-id", "ce_id"):
            return text_of(value)
    return "a message without an id"


def key_of(delivery: Delivery) -> str | None:
    """The delivery's key as text."""
    return None if delivery.key is None else text_of(delivery.key)
