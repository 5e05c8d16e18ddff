"""The model of the YAML for its readers: a JSON Schema for editors, and the rows of the reference page."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Union, cast, get_args, get_origin

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
"""What may stand in the place of any value."""
_LIMITS: Final = frozenset({"enum", "const", "pattern", "minLength", "maxLength"})


class Key(NamedTuple):
    """One key of the YAML, as the reference page shows it."""

    path: str
    """Dotted; `<name>` stands for a name of the user's."""
    values: str
    """What is allowed."""
    required: bool
    description: str


def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration file, for editors; `busbridge schema` prints it."""
    from busbridge.routing._model import File  # noqa: PLC0415 - costs time that only who asks pays

    made = cast("dict[str, Any]", _open_to_variables(File.model_json_schema()))
    return {"$schema": _DIALECT, **made, "title": "busbridge configuration"}


def reference() -> tuple[Key, ...]:
    """Every key of the YAML, in the order of the model."""
    from busbridge.routing._model import File  # noqa: PLC0415 - as above

    return tuple(_keys(File, ()))


def _open_to_variables(node: Any) -> Any:
    """The schema with `${NAME}` allowed where a value is more than plain text, and sections without keys."""
    if isinstance(node, list):
        return [_open_to_variables(each) for each in cast("Sequence[Any]", node)]
    if not isinstance(node, dict):
        return node
    items = cast("dict[str, Any]", node)
    made = {key: value if key in _VERBATIM else _open_to_variables(value) for key, value in items.items()}
    kind = str(made.get("type"))
    if kind in {"integer", "number", "boolean"} or (kind == "string" and made.keys() & _LIMITS):
        kept = {key: made.pop(key) for key in ("description", "default", "title", "examples") if key in made}
        return {"anyOf": [made, _VARIABLE], **kept}
    return {**made, "type": ["object", "null"]} if kind == "object" else made


_VERBATIM: Final = frozenset({"enum", "examples", "default", "required", "propertyNames"})


def _keys(annotation: Any, path: tuple[str, ...]) -> Iterator[Key]:
    from busbridge.routing._shape import shape_of  # noqa: PLC0415 - as above

    shape = shape_of(annotation)
    for name, info in shape.fields.items():
        here = (*path, name)
        yield Key(".".join(here), _allowed(info.annotation), info.is_required(), info.description or "")
        listed = get_origin(info.annotation) is list
        inner = get_args(info.annotation)[0] if listed else info.annotation
        yield from _keys(inner, (*path, f"{name}[]") if listed else here)
    if shape.item is not None and not shape_of(shape.item).is_value:
        yield from _keys(shape.item, (*path, "<name>"))


def _allowed(annotation: Any) -> str:
    """What a key takes, in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _allowed(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return next(_allowed(each) for each in get_args(annotation) if each is not NoneType)
    if origin is Literal:
        return ", ".join(get_args(annotation))
    if origin is list:
        return f"{_allowed(get_args(annotation)[0])}, or a list"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(annotation)
    return _WORDS.get(annotation, "mapping")


_WORDS: Final[dict[Any, str]] = {
    Any: "text or number",
    str: "text",
    SecretStr: "text",
    bool: "true, false",
    int: "whole number",
    timedelta: "duration",
}
