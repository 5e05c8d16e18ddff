"""The headers that users add to their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.envelope._names import CONTENT_TYPE, PREFIXES, TRACE_HEADERS
from busbridge.errors import InvalidEnvelope

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED_PREFIXES: Final = (*map(str.lower, PREFIXES), "busbridge-", "x-death", "x-first-death-", "x-last-death-")
RESERVED: Final = frozenset({"", CONTENT_TYPE, *TRACE_HEADERS, "cc", "bcc"})
"""Written by busbridge, or obeyed by a broker: RabbitMQ routes by `CC` and `BCC`."""

NAME_BYTES: Final = 255
"""An AMQP header name is a short string."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises InvalidEnvelope for a header that a user can't add: its name reserved or too long, its value no string."""
    for name, value in headers.items():
        lower = name.lower()
        if lower in RESERVED or lower.startswith(RESERVED_PREFIXES):
            raise InvalidEnvelope(f"the header name {name!r} is the envelope's or the broker's; choose another")
        if len(name.encode()) > NAME_BYTES:
            raise InvalidEnvelope(f"the header name {name[:40]!r}… is longer than {NAME_BYTES} bytes")
        if type(value) is not str:
            raise InvalidEnvelope(f"the header {name!r} must be a string, not {type(value).__name__}")
