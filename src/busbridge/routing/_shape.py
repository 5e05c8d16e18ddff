"""The model of the YAML seen as a tree of keys: for overrides, which must find a key, and for the reference page."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from busbridge.routing._model import Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Shape:
    """What stands at one place: a section with `fields`, a mapping of free keys to `item`, or a value (neither)."""

    fields: dict[str, FieldInfo] = field(default_factory=dict[str, "FieldInfo"])
    item: Any = None

    @property
    def is_value(self) -> bool:
        """Whether nothing can stand below."""
        return not self.fields and self.item is None


def shape_of(annotation: Any) -> Shape:
    """The shape of a type that stands in the model."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shape_of(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return next((shape for each in get_args(annotation) if not (shape := shape_of(each)).is_value), Shape())
    if origin is dict:
        return Shape(item=get_args(annotation)[1])
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Shape(fields=keys_of(annotation))
    return Shape()


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The fields of a section by the key that stands in the YAML."""
    return {info.alias or name: info for name, info in section.model_fields.items() if not info.exclude}


def below(annotation: Any, key: str) -> Any:
    """The type of what stands at `key` of something of type `annotation`; None where nothing can."""
    shape = shape_of(annotation)
    return shape.fields[key].annotation if key in shape.fields else shape.item
