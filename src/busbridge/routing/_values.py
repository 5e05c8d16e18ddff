"""The scalar values of the YAML: names, durations, contract references, start positions. Each says what is allowed.

Every scalar of a document is text, so that `password: 0123` keeps its zero; what it means is decided here.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias, cast, final

from pydantic import BeforeValidator, Field, WithJsonSchema

from busbridge.contract import NAME_GRAMMAR, is_name, parse_ref

NAME_PATTERN: Final = r"^[a-z0-9]+([.-][a-z0-9]+)*$"
NAME_LENGTH: Final = 100
"""Two names, two dots and a suffix of our own stay below the 249 characters that the strictest broker allows."""

_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)")
_ISO_DURATION: Final = re.compile(
    r"P(?=.)(?:(?P<w>[0-9]{1,9})W)?(?:(?P<d>[0-9]{1,9})D)?"
    r"(?:T(?=.)(?:(?P<h>[0-9]{1,9})H)?(?:(?P<m>[0-9]{1,9})M)?(?:(?P<s>[0-9]{1,12}(?:\.[0-9]{1,6})?)S)?)?"
)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@final
class Plain(str):
    """A scalar that was written without quotes: it may mean a number or a boolean where its key leaves that open."""

    __slots__ = ()


def _name(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a name is text")  # noqa: TRY004  # pydantic makes a fault of a ValueError only
    if not re.fullmatch(NAME_PATTERN, value):
        raise ValueError("a name is lower-case letters and digits, in words joined by '-' or '.'")
    if len(value) > NAME_LENGTH:
        raise ValueError(f"a name has at most {NAME_LENGTH} characters, this one {len(value)}")
    return value


def _duration(value: object) -> object:
    text = str(value)
    if _NUMBER.fullmatch(text):
        raise ValueError(f"a duration needs a unit: {text}s, {text}m, {text}h or {text}d")
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return _timedelta(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if match := _ISO_DURATION.fullmatch(text):
        return _timedelta(sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict("0").items()))
    raise ValueError("a duration is like 30d, 1h30m, 5s, 500ms or PT1H30M")


def _timedelta(seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("a duration of more than a million years") from None


def _contract_name(value: object) -> object:
    if not is_name(str(value)):
        raise ValueError(f"a contract's name is {NAME_GRAMMAR}")
    return value


def _reference(value: object) -> object:
    try:
        parse_ref(str(value))
    except ValueError:
        # The reason quotes the text, and what stands here by mistake may be a secret.
        raise ValueError("a contract is named with its version, like shop.order-created@2") from None
    return value


def _start(value: object) -> object:
    text = str(value)
    if text in {"earliest", "latest"}:
        return text
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("allowed: earliest, latest, an offset, or a time like 2026-03-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its offset from UTC, like {text}Z")
    return moment


def _boolean(value: object) -> object:
    text = str(value).lower()
    if text in {"true", "yes", "on"}:
        return True
    if text in {"false", "no", "off"}:
        return False
    raise ValueError("allowed: true, false")


def _setting(value: object) -> object:
    """A client's setting: what is unquoted and looks like a number or a boolean is one, as YAML 1.2 has it."""
    if not isinstance(value, str):
        raise ValueError("a client's setting is text, a number, true or false")  # noqa: TRY004  # as above
    return _resolved(value) if isinstance(value, Plain) else str(value)


def _resolved(text: str) -> str | int | float | bool:
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,17}\.[0-9]{1,17}", text) else str(text)


def _listed(value: object) -> object:
    return cast("list[object]", value) if isinstance(value, list) else [value]


_DURATION_SCHEMA: Final = {"type": "string", "examples": ["30d", "1h30m", "500ms", "PT1H30M"]}

Name: TypeAlias = Annotated[str, BeforeValidator(_name), Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)]
ContractName: TypeAlias = Annotated[str, BeforeValidator(_contract_name)]
Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
ContractReference: TypeAlias = Annotated[
    str, BeforeValidator(_reference), WithJsonSchema({"type": "string", "examples": ["shop.order-created@2"]})
]
Start: TypeAlias = Annotated[
    Any, BeforeValidator(_start), WithJsonSchema({"type": ["string", "integer"], "examples": ["earliest", "latest", 0]})
]
Flag: TypeAlias = Annotated[bool, BeforeValidator(_boolean)]
Setting: TypeAlias = Annotated[
    Any, BeforeValidator(_setting), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Texts: TypeAlias = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
