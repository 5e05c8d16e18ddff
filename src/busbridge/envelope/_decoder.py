"""Reading the envelope: CloudEvents 1.0, binary and structured mode, with any of the known prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from busbridge.envelope._event import Event
from busbridge.envelope._names import CONTENT_TYPE, PREFIXES, AttributeNames
from busbridge.envelope._structured import is_structured, read_structured
from busbridge.envelope._values import canonical, check_attributes, is_attribute
from busbridge.errors import InvalidEnvelope

if TYPE_CHECKING:
    from collections.abc import Iterable

    OtherHeaders: TypeAlias = list[tuple[str, object]]

DATA_CONTENT_TYPE: Final = "datacontenttype"

_KNOWN: Final = {CONTENT_TYPE: CONTENT_TYPE} | {
    prefix + attribute: attribute for prefix in PREFIXES for attribute in AttributeNames._fields
}


def decode(headers: Iterable[tuple[str, object]], body: bytes | None) -> Event:
    """The event that came as these headers and this body.

    The content type decides between structured and binary mode. Header values may be text, bytes in UTF-8, or what AMQP
    knows natively; None is absent. Nothing of the contract is checked, and a binary body is handed on untouched.

    Raises InvalidEnvelope, saying what is wrong, when an attribute is missing, has no legal value or is given twice
    with different values, when `specversion` is not 1.0, or a structured event is malformed. No other error, ever.
    """
    content_type, attributes, others = _split(headers)
    if content_type is not None and is_structured(content_type):
        attributes, body = read_structured(content_type, body)
        check_attributes(attributes)
    elif attributes:
        check_attributes(attributes)
        if content_type is not None:
            attributes[DATA_CONTENT_TYPE] = content_type
    elif content_type is not None:
        attributes = {DATA_CONTENT_TYPE: content_type}
    return Event(attributes, body, others)


def _split(headers: Iterable[tuple[str, object]]) -> tuple[str | None, dict[str, str], OtherHeaders]:
    attributes: dict[str, str] = {}
    others: OtherHeaders = []
    known = _KNOWN.get
    attribute: str | None = None
    try:
        for name, value in headers:
            attribute = known(name) or _extension(name)
            if attribute is None:
                others.append((name, value))
            elif value is not None:
                if type(value) is bytes:  # as Kafka hands them over
                    text = value.decode()
                elif type(value) is str:  # as AMQP does
                    text = value
                else:
                    text = canonical(attribute, value)
                if attributes.setdefault(attribute, text) != text:
                    raise InvalidEnvelope(f"{attribute!r} is given twice, with different values")
    except UnicodeDecodeError as error:
        raise InvalidEnvelope(f"the attribute {attribute!r} is not UTF-8") from error
    return attributes.pop(CONTENT_TYPE, None), attributes, others


def _extension(name: str) -> str | None:
    """The attribute that a header carries; None for a header that is none."""
    if not name.startswith(PREFIXES):  # most of them by far: the user's, and a broker's records
        return None
    attribute = name[next(len(prefix) for prefix in PREFIXES if name.startswith(prefix)) :]
    return attribute if is_attribute(attribute) else None
