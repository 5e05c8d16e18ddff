"""Structured mode: attributes and data together in one JSON object, the body."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from busbridge.envelope._values import canonical, is_attribute
from busbridge.errors import InvalidEnvelope

MEDIA_TYPE: Final = "application/cloudevents"
"""What the content type of a structured event begins with, in any case."""

_ABSENT: Final = object()


@lru_cache(maxsize=64)
def is_structured(content_type: str) -> bool:
    """Whether a body of this content type is an event in structured mode. Remembered: nearly all have the same one."""
    return content_type[: len(MEDIA_TYPE)].lower() == MEDIA_TYPE


def read_structured(content_type: str, body: bytes | None) -> tuple[dict[str, str], bytes | None]:
    """The attributes and the data of the body. InvalidEnvelope when it is no event in JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != f"{MEDIA_TYPE}+json":
        raise InvalidEnvelope(f"structured events are read as {MEDIA_TYPE}+json, not as {media_type}")
    event = _parse(body)
    data, encoded = event.pop("data", _ABSENT), event.pop("data_base64", None)
    attributes = {name: _attribute(name, value) for name, value in event.items() if value is not None}
    if encoded is None:
        return attributes, _data(data, attributes.get("datacontenttype"))
    if data is not _ABSENT:
        raise InvalidEnvelope("the structured event has both data and data_base64")
    return attributes, _decoded(encoded)


def _parse(body: bytes | None) -> dict[str, Any]:
    try:
        event: object = from_json(body or b"", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEnvelope(f"the structured event is no JSON: {error}") from error
    if not isinstance(event, dict):
        raise InvalidEnvelope(f"the structured event is no JSON object, but {type(event).__name__}")
    return cast("dict[str, Any]", event)


def _attribute(name: str, value: object) -> str:
    if not is_attribute(name):
        raise InvalidEnvelope(f"the structured event has an attribute {name[:40]!r}, which is no legal name")
    return canonical(name, value)


def _data(value: object, content_type: str | None) -> bytes | None:
    if value is _ABSENT:
        return None
    if isinstance(value, str) and content_type is not None and not _is_json(content_type):
        return value.encode()
    return to_json(value)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.endswith(("/json", "+json"))


def _decoded(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        raise InvalidEnvelope("data_base64 of the structured event is no string")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise InvalidEnvelope("data_base64 of the structured event is no base64") from error
