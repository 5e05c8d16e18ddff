"""The envelope: a message as it travels, by CloudEvents 1.0. Nothing else in the library knows CloudEvents."""

from busbridge.envelope._decoder import decode
from busbridge.envelope._encoder import Encoder
from busbridge.envelope._event import Event, schema_version
from busbridge.envelope._ids import DERIVED_IDS, derived_id, new_id, timestamp
from busbridge.envelope._names import CONTENT_TYPE, PREFIXES, TRACE_HEADERS, AttributeNames, names
from busbridge.envelope._user_headers import check_headers

__all__ = [
    "CONTENT_TYPE",
    "DERIVED_IDS",
    "PREFIXES",
    "TRACE_HEADERS",
    "AttributeNames",
    "Encoder",
    "Event",
    "check_headers",
    "decode",
    "derived_id",
    "names",
    "new_id",
    "schema_version",
    "timestamp",
]
