"""A message to publish as frames for the wire: byte for byte what the client's own encoder makes, in less time.

Most of a message is as in the one before it, so the bytes of that are remembered. What is rare is left to the client,
and so is all that it refuses.
"""

from __future__ import annotations

from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, final

from pika import data, frame, spec
from pika.spec import BasicProperties

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREAMBLE: Final = Struct(">BHI").pack
_HEADER: Final = Struct(">BHIHxxQ").pack
_BEFORE_PROPERTIES: Final = 12
"""Bytes of a header frame's payload that `_HEADER` writes."""
_END: Final = bytes([spec.FRAME_END])

_SIZE: Final = Struct(">I").pack
_TEXT: Final = Struct(">cI").pack

_START: Final = Struct(">H").pack(
    BasicProperties.FLAG_CONTENT_TYPE | BasicProperties.FLAG_HEADERS | BasicProperties.FLAG_DELIVERY_MODE
)
_MODES: Final[dict[object, bytes]] = {1: b"\x01", 2: b"\x02"}
_OTHERS: Final = (
    "content_encoding", "priority", "correlation_id", "reply_to", "expiration", "message_id",
    "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
"""Properties that messages of busbridge don't have; dead letters of foreign ones may."""
_others: Final = attrgetter(*_OTHERS)
_NO_OTHERS: Final = (None,) * len(_OTHERS)

_REMEMBERED: Final = 1_000
"""Of each kind, so that foreign names and routing keys can't pile up."""
_LONGEST_REMEMBERED: Final = 255
"""Characters of a header's text."""


@final
class Encoder:
    """Encodes what is published on one connection, and remembers the bytes of what comes again."""

    def __init__(self) -> None:
        self._methods: dict[tuple[int, str, str], bytes] = {}
        self._short: dict[str, bytes] = {}
        self._fields: dict[str, tuple[str, bytes]] = {}
        """The last text of each header, and the bytes of both."""

    def frames(
        self, channel: int, exchange: str, key: str, properties: BasicProperties, body: bytes, most: int
    ) -> list[bytes]:
        """A mandatory message, its body in pieces of `most` bytes. Raises what the client's encoder raises."""
        method = self._methods.get((channel, exchange, key)) or self._method(channel, exchange, key)
        encoded = self.properties(properties)
        size = _BEFORE_PROPERTIES + len(encoded)
        header = _HEADER(spec.FRAME_HEADER, channel, size, BasicProperties.INDEX, len(body))
        made = [method, b"".join((header, encoded, _END))]
        for start in range(0, len(body), most):
            piece = body[start : start + most]
            made.append(b"".join((_PREAMBLE(spec.FRAME_BODY, channel, len(piece)), piece, _END)))
        return made

    def _method(self, channel: int, exchange: str, key: str) -> bytes:
        _make_room(self._methods)
        publish = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
        made: bytes = frame.Method(channel, publish).marshal()
        self._methods[channel, exchange, key] = made
        return made

    def properties(self, given: BasicProperties) -> bytes:
        """Message properties: those of a message of busbridge here, others by the client."""
        mode = _MODES.get(given.delivery_mode)
        kind: object = given.content_type
        if type(kind) is not str or mode is None or given.headers is None or _others(given) != _NO_OTHERS:
            return b"".join(given.encode())
        content_type = self._short.get(kind) or self._short_string(kind)
        return b"".join((_START, content_type, self._table(given.headers), mode))

    def _table(self, headers: Mapping[str, Any]) -> bytes:
        fields: list[bytes] = []
        for name, value in headers.items():
            if type(value) is str:
                known = self._fields.get(name)
                fields.append(known[1] if known and known[0] == value else self._text(name, value))
            else:
                fields.append(self._short.get(name) or self._short_string(name))
                data.encode_value(fields, value)
        encoded = b"".join(fields)
        return _SIZE(len(encoded)) + encoded

    def _text(self, name: str, value: str) -> bytes:
        raw = value.encode()
        made = b"".join((self._short.get(name) or self._short_string(name), _TEXT(b"S", len(raw)), raw))
        if len(value) <= _LONGEST_REMEMBERED:
            _make_room(self._fields)
            self._fields[name] = value, made
        return made

    def _short_string(self, value: str) -> bytes:
        """A name or a content type. Raises the client's ShortStringTooLong."""
        _make_room(self._short)
        pieces: list[bytes] = []
        data.encode_short_string(pieces, value)
        made = self._short[value] = b"".join(pieces)
        return made


def _make_room(remembered: dict[Any, Any]) -> None:
    if len(remembered) >= _REMEMBERED:
        remembered.clear()
