"""A document to the model: what has faults is cut out, so that what stands beside it can still be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from busbridge.routing._faults import faults_of
from busbridge.routing._model import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from busbridge.errors import Fault
    from busbridge.routing._config import KeyPath
    from busbridge.routing._document import Document, Node
    from busbridge.routing._unread import Unread

_STAND_INS: Final[Mapping[KeyPath, str]] = {
    ("transports", "url"): "unread://",
    ("destinations", "kind"): "queue",
    ("destinations", "transport"): "unread",
    ("services", "from"): "unread",
    ("services", "url"): "unread",
}
"""For required keys, by section: without them an entry would go as a whole, and faults of its other keys with it."""


def validated(document: Document) -> tuple[File, list[Fault]]:
    """The model without the keys that have faults, and these; where they stood is noted as unread."""
    faults: list[Fault] = []
    data = document.data
    while True:
        try:
            return File.model_validate(data), faults
        except ValidationError as error:
            errors = error.errors(include_url=False)
            _note_wrong_keys(data, errors, document.unread)
            faults += faults_of(errors, document.places, document.unread)
            data = _mended(data, errors, document.unread)


def _note_wrong_keys(data: dict[str, Node], errors: Iterable[ErrorDetails], unread: Unread) -> None:
    for each in errors:
        if _is_of_key(each):
            unread.misname(_removable(data, each["loc"]))


def _is_of_key(error: ErrorDetails) -> bool:
    """Whether the key is wrong, whatever stands there."""
    return error["type"] == "extra_forbidden" or error["loc"][-1:] == ("[key]",)


def _mended(data: dict[str, Node], errors: Iterable[ErrorDetails], unread: Unread) -> dict[str, Node]:
    """`data` without what is wrong, and with what stands in for it where a required key is concerned."""
    result = data
    for each in errors:
        result = _with_stand_in(result, each, unread) or _cut(result, data, each, unread)
    if result == data:  # less must be left, or validating again would never end
        unread.add(())
        return {}
    return result


def _with_stand_in(data: dict[str, Node], error: ErrorDetails, unread: Unread) -> dict[str, Node] | None:
    path = error["loc"]
    value = _STAND_INS.get(path[:1] + path[-1:]) if error["type"] == "missing" else None
    if value is None:
        return None
    unread.add(path)
    return _with(data, path, value)


def _cut(result: dict[str, Node], data: dict[str, Node], error: ErrorDetails, unread: Unread) -> dict[str, Node]:
    """`result` without what `error` says of `data`."""
    path = _removable(data, error["loc"])
    if not _is_of_key(error):
        unread.add(path)
    return _without(result, path)


def _removable(data: Node, path: KeyPath) -> KeyPath:
    """The longest beginning of `path` that is in `data`: a required key that is missing takes its section along."""
    length = 0
    for key in path:
        if not isinstance(data, dict) or key not in data:
            break
        data = data[str(key)]
        length += 1
    return path[:length]


def _without(data: dict[str, Node], path: KeyPath) -> dict[str, Node]:
    if not path:
        return data
    key = str(path[0])
    inner = data.get(key)
    if len(path) > 1 and isinstance(inner, dict):
        return {**data, key: _without(inner, path[1:])}
    return {each: value for each, value in data.items() if each != key}


def _with(data: dict[str, Node], path: KeyPath, value: str) -> dict[str, Node]:
    """`data` with `value` at `path`; as it is where the section above was cut out meanwhile."""
    key = str(path[0])
    if len(path) == 1:
        return {**data, key: value}
    inner = data.get(key)
    return {**data, key: _with(inner if isinstance(inner, dict) else {}, path[1:], value)} if key in data else data
