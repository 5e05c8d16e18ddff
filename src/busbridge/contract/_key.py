"""The key of a message: the text that decides its partition, so that what belongs together stays in order."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NewType, TypeAlias, get_args, get_origin
from uuid import UUID

from typing_extensions import TypeAliasType

from busbridge.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.contract._base import Contract

KeyOf: TypeAlias = "Callable[[Contract], str | None]"
"""The key of a message, None for a contract without one. InvalidMessage when the field is empty, or None."""

KEY_TYPES = "str, int, UUID, date, or an Enum or Literal of str or int"


def key_text(annotation: Any) -> Callable[[Any], str] | None:
    """What turns a value of this type into its one canonical text. None: values that are equal may differ as text."""
    kind = _plain(annotation)
    if get_origin(kind) is Literal:
        return str if all(_is_text(each) for each in get_args(kind)) else None
    return _class_text(kind) if isinstance(kind, type) else None


def _class_text(kind: type[Any]) -> Callable[[Any], str] | None:
    if issubclass(kind, Enum):
        return _enum_text if all(_is_text(each.value) for each in kind) else None
    if issubclass(kind, date):
        return None if issubclass(kind, datetime) else date.isoformat
    return str if issubclass(kind, str | int | UUID) and kind is not bool else None


def key_of(field: str, text: Callable[[Any], str], ref: str) -> KeyOf:
    """The getter of a keyed contract, made once and called for each message."""
    value = attrgetter(field)

    def key(message: Contract) -> str:
        found = value(message)
        if found is None or not (found := text(found)):
            raise InvalidMessage(f"{ref}: the key field {field!r} is empty, so the message has no place in any order")
        return found

    return key


def no_key(_message: Contract) -> None:
    """The getter of a contract without a key."""


def _plain(annotation: Any) -> Any:
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        else:
            return annotation


def _is_text(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _enum_text(member: Enum) -> str:
    return str(member.value)
