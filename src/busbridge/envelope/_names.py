"""How CloudEvents attributes are called as headers."""

from __future__ import annotations

from typing import Final, NamedTuple

PREFIXES: Final = ("ce-", "ce_", "cloudEvents_", "cloudEvents:")
"""What attributes are read with: AMQP 0-9-1 (de facto), Kafka, and both of the AMQP 1.0 binding. One is written, see
`Transport.header_prefix`."""

CONTENT_TYPE: Final = "content-type"
TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""The trace of this hop, by W3C Trace Context. They are no attributes."""


class AttributeNames(NamedTuple):
    """The header names of the attributes that busbridge writes, with one prefix."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    dataschema: str
    partitionkey: str
    correlationid: str
    causationid: str
    readableby: str
    """Ours: the lowest version whose readers may read this message. Absent: its own version and later ones."""


def names(prefix: str) -> AttributeNames:
    """The header names with this prefix."""
    return AttributeNames._make(prefix + attribute for attribute in AttributeNames._fields)
