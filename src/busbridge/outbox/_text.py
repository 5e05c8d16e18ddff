"""Headers and keys as text that a database keeps, and back, so that nothing is lost on the way (T25).

JSON; what JSON has no type for stands in an object of one member, which names its type. A header's table stands in one
too, so that no foreign table can be taken for a type.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.transport import Headers

_PLAIN: Final = (str, int, float, bool, type(None))


def headers_text(headers: Headers) -> str:
    """The text of headers: order and repeats are kept. Raises TypeError for a value that no transport brings."""
    return _written([(name, value if type(value) is str else _typed(value)) for name, value in headers])


def text_headers(text: str) -> list[tuple[str, object]]:
    """The headers that a text is of."""
    return [(name, value if type(value) is str else _plain(value)) for name, value in _read(text)]


def key_text(key: str | bytes | None) -> str | None:
    """The text of a key: some databases take neither bytes nor NUL for text."""
    return None if key is None else _written(_typed(key))


def text_key(text: str | None) -> str | bytes | None:
    """The key that a text is of."""
    return None if text is None else cast("str | bytes", _plain(_read(text)))


def _written(value: object) -> str:
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # half of a surrogate pair, which UTF-8 has no bytes for
        return json.dumps(value, separators=(",", ":"))


def _read(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:  # the same
        return json.loads(text)


def _typed(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes | bytearray):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, dict):
        return {"table": [(name, _typed(each)) for name, each in cast("dict[str, Any]", value).items()]}
    if isinstance(value, list | tuple):
        return [_typed(each) for each in cast("list[object]", value)]
    raise TypeError(f"no header is of type {type(value).__name__}")


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": b64decode,
    "time": datetime.fromisoformat,
    "decimal": Decimal,
    "table": lambda pairs: {name: _plain(each) for name, each in pairs},
}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, content),) = cast("dict[str, Any]", value).items()
        return _READ[kind](content)
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[object]", value)]
    return value
