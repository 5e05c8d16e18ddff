"""Lifting an old body to a newer version: one step from each version to the next, each a function of a JSON object."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from busbridge.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

JsonObject: TypeAlias = "dict[str, Any]"
Upcaster: TypeAlias = "Callable[[JsonObject], JsonObject]"
"""One step: the JSON object of a version in, that of the next version out. It may change what it gets."""


class Step(NamedTuple):
    """An upcaster with what an error needs to name it."""

    name: str
    from_version: int
    upcaster: Upcaster

    def __str__(self) -> str:
        return f"{described(self.upcaster)} from version {self.from_version} of {self.name!r}"


def described(upcaster: object) -> str:
    """What an error calls an upcaster: its name and where it stands."""
    code = getattr(upcaster, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"upcaster {getattr(upcaster, '__qualname__', repr(upcaster))}{place}"


def version_problem(contract: str, from_version: object) -> str | None:
    """Why `from_version` of a step is no version. None: it is one."""
    if isinstance(from_version, int) and not isinstance(from_version, bool):
        return None
    # Without parentheses the decorator is called with the function itself.
    found = described(from_version) if callable(from_version) else f"from_version={from_version!r}"
    return f"{found}: write @{contract}.upcaster(from_version=1)"


def upcaster_problem(upcaster: Upcaster, version: int, from_version: int, others: Mapping[int, Upcaster]) -> str | None:
    """Why a step can't stand on the class of `version` beside `others`. None: it can."""
    if inspect.iscoroutinefunction(upcaster) or inspect.iscoroutinefunction(getattr(upcaster, "__call__", None)):  # noqa: B004 - an object with an async __call__ is none either
        return "it is `async def`; a step is a plain function of the body"
    if not 1 <= from_version < version:
        return f"no step leads from version {from_version} towards version {version}"
    if from_version in others:
        return f"there is one from version {from_version} already, {described(others[from_version])}"
    return None


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
        raise InvalidMessage(f"what {steps[-1]} returned can't be said in JSON") from error


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
    return _as_object(lifted, f"what {step} returned")


def _as_object(value: object, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidMessage(f"{what} is no JSON object, but of type {type(value).__name__}")
    return cast("JsonObject", value)
