"""The headers that users add to their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.envelope._names import CONTENT_TYPE, PREFIXES, TRACE_HEADERS
from busbridge.errors import InvalidEnvelope

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED_PREFIXES: Final = (*(prefix.lower() for prefix in PREFIXES), "busbridge-", "x-death", "x-first-death", "x-last-death")
RESERVED: Final = frozenset({"", CONTENT_TYPE, *TRACE_HEADERS, "cc", "bcc"})
"""Written by busbridge, or obeyed by a broker: RabbitMQ routes by `CC` and `BCC`."""

NAME_BYTES: Final = 255
"""An AMQP header name is a short string."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises InvalidEnvelope when a header can't be the user's: its name is reserved or too long, its value no string."""
    for name, value in headers.items():
        lower = name.lower()
        if lower in RESERVED or lower.startswith(RESERVED_PREFIXES):
            raise InvalidEnvelope(f"the header {name!r} is reserved for the envelope or the broker; choose another name")
        if len(name.encode()) > NAME_BYTES:
            raise InvalidEnvelope(f"the header name {name[:40]!r}… is longer than {NAME_BYTES} bytes")
        if type(value) is not str:
            raise InvalidEnvelope(f"the header {name!r} must be a string, not {type(value).__name__}")
