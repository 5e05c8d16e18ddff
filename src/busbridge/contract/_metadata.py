"""What is wrong with the keywords of a contract's class statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, ForwardRef, TypeGuard

from busbridge.contract._faults import did_you_mean
from busbridge.contract._info import NAME_GRAMMAR, NAME_LENGTH, is_name
from busbridge.contract._key import KEY_TYPES, key_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

KEYWORDS = ("name", "version", "readable_by", "key")


def metadata_problem(
    fields: Mapping[str, FieldInfo], name: object, version: object, readable_by: object, key: object
) -> str | None:
    """The first thing that is wrong with what a class states of itself. None: it can be a contract."""
    if name is None:
        return "a contract needs a name; an abstract base states no keyword at all"
    if not isinstance(name, str) or not is_name(name):
        return f"name={name!r} must be {NAME_GRAMMAR}, at most {NAME_LENGTH} characters"
    if not _is_version(version):
        return f"version={version!r}: a contract needs a version, a whole number from 1"
    return _readable_by_problem(version, readable_by) or _key_problem(fields, key)


def _is_version(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _readable_by_problem(version: int, readable_by: object) -> str | None:
    if readable_by is None:
        needed = "readable_by is needed from version 2: the lowest version whose readers may read this one"
        return needed if version > 1 else None
    if not _is_version(readable_by) or readable_by > version:
        return f"readable_by={readable_by!r} must be a version from 1 to {version}"
    return None


def _key_problem(fields: Mapping[str, FieldInfo], key: object) -> str | None:
    if key is None:
        return None
    field = fields.get(key) if isinstance(key, str) else None
    if field is None:
        return f"key={key!r} is no field{did_you_mean(str(key), fields)}"
    # A type that is defined further down can't be judged yet; `Writer` does.
    if isinstance(field.annotation, ForwardRef | str) or key_text(field.annotation):
        return None
    return key_type_problem(str(key))


def key_type_problem(key: str) -> str:
    """What is said of a field that can't be a key."""
    return f"key={key!r}: values of its type may be absent, or equal and yet differ as text; take {KEY_TYPES}"
