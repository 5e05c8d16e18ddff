"""What attributes may be called, and their values as text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from busbridge.errors import InvalidEnvelope

REQUIRED: Final = ("id", "source", "type")
SPECVERSION: Final = "1.0"


def is_attribute(name: str) -> bool:
    """Whether CloudEvents allows an attribute of this name: lower-case letters and digits, and not `data`."""
    return name.isascii() and name.isalnum() and name == name.lower() and name != "data"


def canonical(attribute: str, value: object) -> str:
    """The text of a value, as CloudEvents writes it.

    InvalidEnvelope when it is no scalar, UnicodeDecodeError when it is no UTF-8.
    """
    match value:
        case str():
            return value
        case bytes() | bytearray():
            return value.decode()
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return _number(attribute, value)
        case datetime():
            return _time(value)
        case _:
            raise InvalidEnvelope(f"the attribute {attribute!r} is of type {type(value).__name__}, which is no scalar")


def check_attributes(attributes: dict[str, str]) -> None:
    """Raises InvalidEnvelope unless these are attributes of a CloudEvent 1.0."""
    get = attributes.get
    specversion = get("specversion")
    if specversion == SPECVERSION and get("id") and get("source") and get("type"):
        return
    missing = [name for name in REQUIRED if not get(name)]
    if not specversion:
        missing.insert(0, "specversion")
    if missing:
        raise InvalidEnvelope(f"no CloudEvent: {', '.join(missing)} missing or empty")
    if specversion != SPECVERSION:
        raise InvalidEnvelope(f"specversion is {specversion!r}; only {SPECVERSION} can be read")


def _number(attribute: str, value: float | Decimal) -> str:
    try:
        return str(value)
    except ValueError as error:  # an integer beyond what Python turns into text
        raise InvalidEnvelope(f"the attribute {attribute!r} is a number too long to read") from error


def _time(value: datetime) -> str:
    # AMQP's timestamps are UTC; some clients hand them over without saying so.
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return aware.isoformat().replace("+00:00", "Z")
