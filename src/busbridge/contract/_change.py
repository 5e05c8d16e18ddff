"""A message changed by copy: pydantic's own `model_copy` takes any update as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import AliasChoices, AliasPath, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from busbridge.contract._base import Contract

    C = TypeVar("C", bound=Contract)


def validated(message: Contract, update: Mapping[str, Any]) -> dict[str, Any]:
    """What is in `update`, by field, as constructing the changed message makes it. Raises pydantic's ValidationError.

    What constructing ignores, such as a field that there is none of, is left out.
    """
    made = _made(message, update)
    values = {**made.__dict__, **(made.__pydantic_extra__ or {})}
    known = {*type(message).model_fields, *(made.__pydantic_extra__ or {})}
    return {name: values[name] for name in update if name in known}


def _made(message: C, update: Mapping[str, Any]) -> C:
    """Constructed from what was given to `message` and from `update`. Defaults stay unset: its validators may ask."""
    kind = type(message)
    everything = {**message.__dict__, **(message.__pydantic_extra__ or {})}
    given = [name for name in message.model_fields_set if name in everything and name not in update]
    kept = {name: everything[name] for name in given}
    try:
        return kind(**_arguments(kind, {**kept, **update}))
    except ValidationError as error:
        refused = _at_fault(error, kind, kept)
        if not refused:
            raise
    # Not everything that was validated can be validated again: of a `Json` field the value is no JSON any more.
    again = {name: value for name in refused for value in _written(message, name)}
    return kind(**_arguments(kind, {**kept, **again, **update}))


def _at_fault(error: ValidationError, kind: type[Contract], names: Iterable[str]) -> list[str]:
    """Those that pydantic complains about: it calls them by alias, or by name."""
    places = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
    return [name for name in names if not places.isdisjoint((name, _path(kind, name)[0]))]


def _written(message: Contract, name: str) -> Iterable[Any]:
    """The value of the field as it may be read again; nothing where it is not written."""
    return message.model_dump(include={name}, by_alias=True, round_trip=True, warnings=False).values()


def _arguments(kind: type[Contract], values: Mapping[str, Any]) -> dict[str, Any]:
    """By what the class is called with: the aliases of its fields."""
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = _path(kind, name)
        place: dict[Any, Any] = arguments
        for each in parents:
            place = place.setdefault(each, {})
        place[last] = value
    return arguments


def _path(kind: type[Contract], name: str) -> list[str | int]:
    """Where constructing looks for a field first."""
    field = kind.model_fields.get(name)
    if field is None or kind.model_config.get("validate_by_alias") is False:
        return [name]
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return alias.path if isinstance(alias, AliasPath) else [alias or name]
