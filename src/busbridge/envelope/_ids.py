"""Ids and times of messages."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

DERIVED_IDS: Final = UUID("6b0c4a5e-6f0e-5f8e-9d0a-3a6d1c1f7b52")
"""The namespace of derived ids. Part of the wire format: it never changes."""


def new_id() -> str:
    """A UUIDv7 (RFC 9562): unique, and ordered by time to a quarter of a microsecond within one clock.

    The random bits are the operating system's, so that neither a seeded `random` nor a fork repeats an id.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(source: str, message_id: str, handler: str, ordinal: int) -> str:
    """The id of a message that a handler publishes: the same whenever the handler runs again for the same message (T6).

    It is the UUIDv5 of the compact JSON array `[source, id, handler, ordinal]` in the namespace `DERIVED_IDS`. `source`
    and `message_id` are those of the message being handled; `handler` is unique in the publishing service; `ordinal`
    counts what it publishes for this message.
    """
    name = json.dumps([source, message_id, handler, ordinal], separators=(",", ":"))
    digest = hashlib.sha1(DERIVED_IDS.bytes + name.encode(), usedforsecurity=False).digest()
    return str(UUID(bytes=digest[:16], version=5))


def timestamp() -> str:
    """Now, in UTC, as RFC 3339 writes it: `2026-01-31T23:59:59.123456Z`."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
