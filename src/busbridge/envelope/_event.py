"""A received envelope."""

from __future__ import annotations

from typing import final

VERSION_DIGITS = 9


@final
class Event:
    """One CloudEvent: its attributes by their plain names, its body, and the headers that are not attributes.

    All attributes are text, in CloudEvents' canonical form. `plain` is True when there are none at all: a body without
    an envelope, which only a destination that says `assume:` can take. Any other event has `id`, `source` and `type`.
    """

    __slots__ = ("attributes", "data", "headers")

    def __init__(self, attributes: dict[str, str], data: bytes | None, headers: list[tuple[str, object]]) -> None:
        self.attributes = attributes
        self.data = data
        """None: no body, which on a compacted stream removes the key."""
        self.headers = headers

    @property
    def plain(self) -> bool:
        """No envelope at all."""
        return "specversion" not in self.attributes

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def source(self) -> str:
        return self.attributes["source"]

    @property
    def type(self) -> str:
        """The name of the contract."""
        return self.attributes["type"]

    @property
    def version(self) -> int | None:
        """The version of the contract: the number that `dataschema` ends in. None when it is not stated."""
        return schema_version(self.attributes.get("dataschema"))

    @property
    def readable_by(self) -> int | None:
        """The lowest version whose readers may read this message. None when it is not stated."""
        return _number(self.attributes.get("readableby", ""))

    @property
    def key(self) -> str | None:
        return self.attributes.get("partitionkey")

    @property
    def correlation_id(self) -> str | None:
        return self.attributes.get("correlationid")

    @property
    def causation_id(self) -> str | None:
        return self.attributes.get("causationid")

    def __repr__(self) -> str:
        if self.plain:
            return "<Event without an envelope>"
        return f"<Event {self.id!r} of {self.type!r} from {self.source!r}>"


def schema_version(uri: str | None) -> int | None:
    """The number after the last `/` or `:` of a schema's URI; None where there is none."""
    if uri is None:
        return None
    return _number(uri[max(uri.rfind("/"), uri.rfind(":")) + 1 :])


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= VERSION_DIGITS else None
