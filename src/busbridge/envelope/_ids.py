"""Ids and times of messages."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from pydantic_core import to_json

DERIVED_IDS: Final = UUID("6b0c4a5e-6f0e-5f8e-9d0a-3a6d1c1f7b52")
"""The namespace of derived ids. Part of the wire format: it never changes."""

_DERIVING: Final = hashlib.sha1(DERIVED_IDS.bytes, usedforsecurity=False)
"""The digest of the namespace alone: to copy it takes half as long as to begin anew."""

_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""RFC 9562's digit in place of a hexadecimal one, of which it keeps two bits."""


def new_id() -> str:
    """A UUIDv7 (RFC 9562): unique, and ordered by time to a quarter of a microsecond on one clock.

    Its 60 random bits are the operating system's, so that neither a seeded `random` nor a fork repeats an id.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    when = (milliseconds << 16 | 0x7000 | fraction).to_bytes(8, "big").hex()
    random = os.urandom(8).hex()
    return f"{when[:8]}-{when[8:12]}-{when[12:]}-8{random[:3]}-{random[3:15]}"


def derived_id(source: str, message_id: str, handler: str, ordinal: int) -> str:
    """The id of a message that a handler publishes: the same whenever the handler runs again for the same message (T6).

    It is the UUIDv5 of the compact JSON array `[source, id, handler, ordinal]`, in UTF-8, in the namespace
    `DERIVED_IDS`. `source` and `message_id` are those of the message being handled; `handler` is unique in the service
    that publishes; `ordinal` counts what that handler publishes for this message.
    """
    digest = _DERIVING.copy()
    digest.update(to_json([source, message_id, handler, ordinal]))
    text = digest.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:32]}"


def timestamp() -> str:
    """Now, in UTC, as RFC 3339 writes it: `2026-01-31T23:59:59.123456Z`."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Remembered, since thousands of messages are of the same second and formatting it is half of what a time costs."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
