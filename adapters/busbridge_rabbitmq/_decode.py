"""Message properties from the wire.

The client's own decoder cuts the fraction off a float, and raises on a timestamp outside of Python's range: that ends
the connection, the message is delivered again, and so on for ever. A foreign message must not be able to do that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, Any, final

from pika.exceptions import InvalidFieldTypeException
from pika.spec import BasicProperties

if TYPE_CHECKING:
    from collections.abc import Callable

_UINT = Struct(">I").unpack_from
_LONG_STRING = ord("S")

_FIXED: dict[int, tuple[Callable[..., tuple[Any, ...]], int]] = {
    ord(kind): (Struct(f">{form}").unpack_from, Struct(f">{form}").size)
    for kind, form in {
        "t": "?", "b": "b", "B": "B", "U": "h", "s": "h", "u": "H",
        "I": "i", "i": "I", "L": "q", "l": "q", "f": "f", "d": "d",
    }.items()
}  # fmt: skip

_REMEMBERED = 1_000
"""Names, so that foreign ones can't pile up."""


@final
class Decoder:
    """Decodes what one connection receives, and remembers names: nearly all of them come again with each message."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def properties(self, data: bytes, offset: int) -> BasicProperties:
        """The properties whose flags begin at `offset`."""
        flags = data[offset] << 8 | data[offset + 1]
        offset += 2
        content_type = content_encoding = headers = delivery_mode = None
        if flags & BasicProperties.FLAG_CONTENT_TYPE:
            content_type, offset = self._short(data, offset)
        if flags & BasicProperties.FLAG_CONTENT_ENCODING:
            content_encoding, offset = self._short(data, offset)
        if flags & BasicProperties.FLAG_HEADERS:
            headers, offset = self._headers(data, offset)
        if flags & BasicProperties.FLAG_DELIVERY_MODE:
            delivery_mode = data[offset]  # foreign: any number
            offset += 1
        made = BasicProperties(content_type, content_encoding, headers, delivery_mode)  # type: ignore[arg-type,unused-ignore]  # pyright: ignore[reportArgumentType]
        if flags & _RARE:
            _rare(made, flags, data, offset)
        return made

    def _headers(self, data: bytes, offset: int) -> tuple[dict[str, Any], int]:
        """As `table`, in less time for what nearly all headers are: known names with a text each."""
        end = offset + 4 + _UINT(data, offset)[0]
        offset += 4
        found: dict[str, Any] = {}
        while offset < end:
            name, offset = self._short(data, offset)
            if data[offset] == _LONG_STRING:
                begin = offset + 5
                offset = begin + _UINT(data, offset + 1)[0]
                found[name] = _text(data[begin:offset])
            else:
                found[name], offset = _value(data, offset)
        return found, end

    def _short(self, data: bytes, offset: int) -> tuple[str, int]:
        end = offset + 1 + data[offset]
        raw = data[offset + 1 : end]
        return self._names.get(raw) or self._name(raw), end

    def _name(self, raw: bytes) -> str:
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        name = self._names[raw] = raw.decode(errors="backslashreplace")
        return name


_SHORT_STRINGS_BETWEEN = (
    (BasicProperties.FLAG_CORRELATION_ID, "correlation_id"),
    (BasicProperties.FLAG_REPLY_TO, "reply_to"),
    (BasicProperties.FLAG_EXPIRATION, "expiration"),
    (BasicProperties.FLAG_MESSAGE_ID, "message_id"),
)
_SHORT_STRINGS_AFTER = (
    (BasicProperties.FLAG_TYPE, "type"),
    (BasicProperties.FLAG_USER_ID, "user_id"),
    (BasicProperties.FLAG_APP_ID, "app_id"),
    (BasicProperties.FLAG_CLUSTER_ID, "cluster_id"),
)
_RARE = 0x0FFC
"""All that follows the delivery mode; a message of busbridge carries none of it."""


def _rare(made: BasicProperties, flags: int, data: bytes, offset: int) -> None:
    if flags & BasicProperties.FLAG_PRIORITY:
        made.priority = data[offset]
        offset += 1
    offset = _shorts(made, _SHORT_STRINGS_BETWEEN, flags, data, offset)
    if flags & BasicProperties.FLAG_TIMESTAMP:
        made.timestamp = int.from_bytes(data[offset : offset + 8])
        offset += 8
    _shorts(made, _SHORT_STRINGS_AFTER, flags, data, offset)


def _shorts(made: BasicProperties, names: tuple[tuple[int, str], ...], flags: int, data: bytes, offset: int) -> int:
    for bit, name in names:
        if flags & bit:
            value, offset = _short(data, offset)
            setattr(made, name, value)
    return offset


def _short(data: bytes, offset: int) -> tuple[str, int]:
    end = offset + 1 + data[offset]
    return data[offset + 1 : end].decode(errors="backslashreplace"), end


def table(data: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """The table whose size stands at `offset`, and where it ends."""
    end = offset + 4 + _UINT(data, offset)[0]
    offset += 4
    found: dict[str, Any] = {}
    while offset < end:
        name, offset = _short(data, offset)
        found[name], offset = _value(data, offset)
    return found, end


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _value(data: bytes, offset: int) -> tuple[Any, int]:
    kind = data[offset]
    offset += 1
    if kind in _FIXED:
        unpack, size = _FIXED[kind]
        return unpack(data, offset)[0], offset + size
    decode = _VARYING.get(kind)
    if decode is None:
        raise InvalidFieldTypeException(chr(kind))
    return decode(data, offset)


def _long(data: bytes, offset: int) -> tuple[bytes, int]:
    end = offset + 4 + _UINT(data, offset)[0]
    return data[offset + 4 : end], end


def _long_text(data: bytes, offset: int) -> tuple[str | bytes, int]:
    raw, end = _long(data, offset)
    return _text(raw), end


def _array(data: bytes, offset: int) -> tuple[list[Any], int]:
    end = offset + 4 + _UINT(data, offset)[0]
    offset += 4
    found: list[Any] = []
    while offset < end:
        value, offset = _value(data, offset)
        found.append(value)
    return found, end


def _timestamp(data: bytes, offset: int) -> tuple[datetime | int, int]:
    """A moment; the bare number where no such moment exists in Python, such as milliseconds written by mistake."""
    seconds = int.from_bytes(data[offset : offset + 8])
    try:
        return datetime.fromtimestamp(seconds, UTC), offset + 8
    except (ValueError, OverflowError, OSError):
        return seconds, offset + 8


def _decimal(data: bytes, offset: int) -> tuple[Decimal, int]:
    raw = int.from_bytes(data[offset + 1 : offset + 5], signed=True)
    return Decimal(raw).scaleb(-data[offset]), offset + 5


def _void(_data: bytes, offset: int) -> tuple[None, int]:
    return None, offset


_VARYING: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("S"): _long_text,
    ord("x"): _long,
    ord("A"): _array,
    ord("F"): table,
    ord("T"): _timestamp,
    ord("D"): _decimal,
    ord("V"): _void,
}
