"""Lifting an old body to a newer version: one step from each version to the next, each a function of a JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic_core import PydanticSerializationError, from_json, to_json

from busbridge.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

JsonObject: TypeAlias = "dict[str, Any]"
Upcaster: TypeAlias = "Callable[[JsonObject], JsonObject]"
"""One step: the JSON object of a version in, that of the next version out. It may change what it gets."""


class Step(NamedTuple):
    """An upcaster with what an error needs to name it."""

    name: str
    from_version: int
    upcaster: Upcaster

    def __str__(self) -> str:
        code = getattr(self.upcaster, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        called = getattr(self.upcaster, "__qualname__", repr(self.upcaster))
        return f"upcaster {called}{place}, from version {self.from_version} of {self.name!r}"


def lift(body: bytes | None, steps: Sequence[Step]) -> bytes:
    """The body after all steps, as JSON again, so that the contract reads it by the rules it reads its own by.

    InvalidMessage when the body is no JSON object, or an upcaster fails or returns something else; the cause is what
    was raised. The bytes are never changed: a second attempt begins from the original.
    """
    value = _parse(body, steps[0])
    for step in steps:
        value = _apply(step, value)
    try:
        return to_json(value)
    except PydanticSerializationError as error:
        raise InvalidMessage(f"{steps[-1]} returned what JSON can't say") from error


def _parse(body: bytes | None, first: Step) -> JsonObject:
    where = f"the body of version {first.from_version} of {first.name!r}"
    if body is None:
        raise InvalidMessage(f"{where} is missing")
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidMessage(f"{where} is no JSON: {error}") from error
    return _as_object(value, where)


def _apply(step: Step, value: JsonObject) -> JsonObject:
    try:
        lifted: object = step.upcaster(value)
    except Exception as error:
        raise InvalidMessage(f"{step} failed with {type(error).__qualname__}") from error
    return _as_object(lifted, f"what the {step} returned")


def _as_object(value: object, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidMessage(f"{what} is no JSON object, but {type(value).__name__}")
    return value  # pyright: ignore[reportUnknownVariableType]  # JSON's keys are strings
