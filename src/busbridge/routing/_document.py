"""Configuration as plain data with the place of every key: read from YAML text, from a mapping, merged in layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from os import PathLike, fspath
from typing import TYPE_CHECKING, TypeAlias, cast

from pydantic import SecretStr

from busbridge.errors import Fault, Location
from busbridge.routing._unread import Unread
from busbridge.routing._values import Plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.routing._config import KeyPath

Node: TypeAlias = "str | list[Node] | dict[str, Node] | None"
"""What a document is made of. A scalar stays text (`Plain` if unquoted): its key decides what it means."""

DEPTH = 50
"""How deep mappings and lists may be nested."""
SIZE = 50_000
"""How many values a document may have, aliases written out: a few lines of YAML can stand for billions."""


@dataclass(frozen=True, slots=True)
class Document:
    """One layer, or all layers merged."""

    data: dict[str, Node] = field(default_factory=dict[str, "Node"])
    places: dict[KeyPath, Location] = field(default_factory=dict["KeyPath", Location])
    faults: list[Fault] = field(default_factory=list[Fault])
    unread: Unread = field(default_factory=Unread)

    def lose(self, fault: Fault) -> None:
        """Notes a fault that keeps what stands at its place from being read."""
        self.faults.append(fault)
        self.unread.add(fault.location.path)

    def over(self, base: Document) -> Document:
        """Both merged: mappings key by key, everything else taken from this document where it is there."""
        data = _merged(base.data, self.data)
        result = Document(data, base.places | self.places, [*base.faults, *self.faults])
        result.unread.update(base.unread)
        result.unread.update(self.unread)
        return result


def _merged(base: dict[str, Node], over: dict[str, Node]) -> dict[str, Node]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and (value is None or isinstance(value, dict)):
            result[key] = _merged(old, value or {})  # with nothing below it is a mapping without keys
        else:
            result[key] = value
    return result


def edited(node: Node, edit: Callable[[KeyPath, str], Node], path: KeyPath = ()) -> Node:
    """`node` with every scalar replaced by what `edit` makes of it."""
    if isinstance(node, dict):
        return {key: edited(value, edit, (*path, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [edited(value, edit, (*path, index)) for index, value in enumerate(node)]
    return None if node is None else edit(path, node)


def from_mapping(source: Mapping[object, object], name: str = "the mapping") -> Document:
    """The document that a Python mapping stands for; what can't stand in a configuration becomes a fault."""
    document = Document()
    reader = _MappingReader(document, name)
    document.data.update(cast("dict[str, Node]", reader.read(source, ())))
    return document


class _MappingReader:
    """Turns Python values into nodes."""

    __slots__ = ("_document", "_name", "_size")

    def __init__(self, document: Document, name: str) -> None:
        self._document = document
        self._name = name
        self._size = 0

    def read(self, value: object, path: KeyPath) -> Node:
        self._document.places[path] = Location(path, self._name)
        self._size += 1
        if len(path) > DEPTH or self._size > SIZE:
            return self._fault("nested too deeply or too large", path)
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value), path)
        if isinstance(value, (list, tuple)):
            return [self.read(each, (*path, index)) for index, each in enumerate(cast("Sequence[object]", value))]
        return self._scalar(value, path)

    def _mapping(self, value: Mapping[object, object], path: KeyPath) -> Node:
        result: dict[str, Node] = {}
        for key, each in value.items():
            if isinstance(key, str):
                result[str(key)] = self.read(each, (*path, str(key)))
            else:
                self._fault(f"a key is text, not {type(key).__name__}", path)
        return result

    def _scalar(self, value: object, path: KeyPath) -> Node:
        if value is None:
            return None
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        if isinstance(value, str):
            return str(value)
        if isinstance(value, bool):
            return Plain(str(value).lower())
        if isinstance(value, (int, float)):
            return Plain(repr(value))
        return self._foreign(value, path)

    def _foreign(self, value: object, path: KeyPath) -> Node:
        if isinstance(value, timedelta):
            return f"{value / timedelta(milliseconds=1):.0f}ms"
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, PathLike):
            return str(fspath(cast("PathLike[str]", value)))
        return self._fault(f"a {type(value).__name__} can't stand in a configuration", path)

    def _fault(self, problem: str, path: KeyPath) -> Node:
        self._document.lose(Fault(problem, Location(path, self._name)))
        return None
