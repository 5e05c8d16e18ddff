"""Writing the envelope: CloudEvents 1.0, binary mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from busbridge.contract import CATALOG
from busbridge.envelope._names import CONTENT_TYPE, names
from busbridge.errors import ConfigurationError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.contract import ContractInfo

_URI_REFERENCE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@final
class Encoder:
    """Writes the headers of one contract's messages, as one service publishes them with one prefix.

    What is the same for each message is made once. `source` must be a URI-reference, as a plain service name is; else
    ConfigurationError.
    """

    __slots__ = ("_causation", "_constant", "_correlation", "_id", "_key", "_time")

    def __init__(self, info: ContractInfo, *, prefix: str, source: str, catalog: str = CATALOG) -> None:
        if not _URI_REFERENCE.fullmatch(source):
            problem = f"the service name {source!r} can't be a CloudEvents source, which is a URI-reference"
            raise ConfigurationError([Fault(problem, hint="use letters, digits, `-`, `.` and `_`")])
        attributes = names(prefix)
        self._id = attributes.id
        self._time = attributes.time
        self._key = attributes.partitionkey
        self._correlation = attributes.correlationid
        self._causation = attributes.causationid
        self._constant = [
            (CONTENT_TYPE, "application/json"),
            (attributes.specversion, "1.0"),
            (attributes.type, info.name),
            (attributes.source, source),
            (attributes.dataschema, info.schema_uri(catalog)),
        ]
        if info.version > 1:
            self._constant.append((attributes.readableby, str(info.readable_by)))

    def headers(
        self,
        message_id: str,
        time: str,
        *,
        key: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        extra: Iterable[tuple[str, str]] = (),
    ) -> list[tuple[str, str]]:
        """The headers of one message, in a new list. `extra` (the user's, the trace's) comes last, unchecked.

        `time` is when it happened, see `timestamp`; `causation_id` is the id of the message being handled;
        `correlation_id` is that message's, so that a whole flow shares one.
        """
        headers = [*self._constant, (self._id, message_id), (self._time, time)]
        if key is not None:
            headers.append((self._key, key))
        if correlation_id is not None:
            headers.append((self._correlation, correlation_id))
        if causation_id is not None:
            headers.append((self._causation, causation_id))
        headers.extend(extra)
        return headers
