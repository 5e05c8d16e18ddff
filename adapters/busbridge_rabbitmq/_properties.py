"""Headers as the library has them, and message properties as AMQP has them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pika.spec import BasicProperties

if TYPE_CHECKING:
    from busbridge.transport import Headers

CONTENT_TYPE = "content-type"
"""The content type is a header to the library, and a property of its own on the wire."""
MESSAGE_ID = "ce-id"
PARTITION_KEY = "ce-partitionkey"

_OF_THE_BROKER = ("x-delivery-count", "x-acquired-count")

PERSISTENT: Final = 2
TRANSIENT: Final = 1


def outgoing(headers: Headers, delivery_mode: Literal[1, 2]) -> BasicProperties:
    """What to publish with. Of a repeated header the last one is kept: an AMQP table has each name once."""
    table: dict[str, Any] = dict(headers)
    content_type = table.pop(CONTENT_TYPE, None)
    return BasicProperties(content_type=content_type, headers=table, delivery_mode=delivery_mode)


def incoming(properties: BasicProperties) -> list[tuple[str, object]]:
    """The headers of a delivery, the content type first, without those that the broker has put there itself."""
    table = cast("dict[str, object] | None", properties.headers)
    headers: list[tuple[str, object]] = []
    if table:
        for name in _OF_THE_BROKER:
            table.pop(name, None)
        headers.extend(table.items())
    if properties.content_type is not None:
        headers.insert(0, (CONTENT_TYPE, properties.content_type))
    return headers


_KEPT = (
    "content_type", "content_encoding", "priority", "correlation_id", "reply_to",
    "message_id", "timestamp", "type", "app_id",
)  # fmt: skip


def dead_letter(original: BasicProperties, record: Headers) -> BasicProperties:
    """The properties of a dead letter: the original's, with `record` added to the headers.

    Two are left out: an expiration would let the dead letter expire, and the broker refuses another user's id.
    """
    table = {name: writable(value) for name, value in (original.headers or {}).items()}
    table.update(record)
    kept = {name: getattr(original, name) for name in _KEPT}
    return BasicProperties(headers=table, delivery_mode=PERSISTENT, **kept)


def fitting(original: BasicProperties, record: Headers, most: int) -> BasicProperties:
    """The properties of a dead letter that fit a frame of `most` bytes: a message must not be too large to be dead.

    What does not fit is left out: the stack first, then all of the record but why and which.
    """
    made = dead_letter(original, record)
    for left in (_STACK, _WORDS):
        if _size(made) <= most:
            break
        record = [pair for pair in record if not pair[0].endswith(left)]
        made = dead_letter(original, record)
    return made


_FRAME = 8 + 12
"""Bytes of a frame around a message's properties."""
_STACK = ("-stack",)
_WORDS = ("-error", "-error-type", "-service", "-version", "-subscription", "-handler", "-destination", "-origin",
          "-position", "-redrive", "-time")  # fmt: skip


def _size(properties: BasicProperties) -> int:
    return _FRAME + sum(map(len, properties.encode()))


def again(original: BasicProperties, headers: Headers) -> BasicProperties:
    """The properties that a dead letter is sent again with: its own, with other headers."""
    table = {name: writable(value) for name, value in headers if name != CONTENT_TYPE}
    kept = {name: getattr(original, name) for name in _KEPT}
    return BasicProperties(headers=table, delivery_mode=PERSISTENT, **kept)


_WRITABLE = (str, bytes, bool, int, Decimal, datetime)


def writable(value: Any) -> Any:
    """The value as the client can write it: what it has no type for, such as a float, becomes a text."""
    if value is None or isinstance(value, _WRITABLE):
        return value
    if isinstance(value, dict):
        return {name: writable(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [writable(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return repr(value)
