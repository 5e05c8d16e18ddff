"""pydantic's errors as faults: where, what was found, what is allowed, what may have been meant. Never a secret."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final, get_args

from busbridge.errors import Fault, Location
from busbridge.routing._config import locate
from busbridge.routing._model import File
from busbridge.routing._shape import below, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from busbridge.routing._config import KeyPath
    from busbridge.routing._unread import Unread

SECRET_KEY: Final = re.compile(
    r"passw|passphrase|secret|token|credential|jaas|private|api.?key|(^|[._-])key[._-]?pem", re.IGNORECASE
)
"""Keys whose values are never shown, in particular among a client's settings."""
_LONGEST: Final = 60
_LATER: Final = frozenset({"jitter", "delay", "delays", "park", "block", "on_failure"})
"""Keys that a coming version has: better refused by name than taken for a typing error."""
_ALLOWED: Final = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}


def faults_of(errors: Iterable[ErrorDetails], places: Mapping[KeyPath, Location], unread: Unread) -> list[Fault]:
    """A fault for each of pydantic's errors, unless it misses a key that may be there and could not be read."""
    return [_fault(each, places) for each in errors if each["type"] != "missing" or not unread.hides(each["loc"])]


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that `word` may have been meant to be; `cutoff`: how like it must be, 1 being equal."""
    return next(iter(difflib.get_close_matches(word, list(known), 1, cutoff)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint: the nearest known word, or the list of them where it is short."""
    listed = sorted(known)
    close = nearest(word, listed)
    if close:
        return f"did you mean {close}?"
    return f"known: {', '.join(listed)}" if 0 < len(listed) <= 10 else None  # noqa: PLR2004


def redacted(text: str) -> str:
    """`text` without what may be a user and password before an `@`, or a secret in a query."""
    text = re.sub(r"(?<=:).*@", "***@", text, flags=re.DOTALL)
    return re.sub(r"(?i)(\w*(?:passw|secret|token)\w*=).*", r"\1***", text, flags=re.DOTALL)


def shown(value: object, path: KeyPath) -> str:
    """`value` as a fault may show it, at `path`."""
    if any(SECRET_KEY.search(str(key)) for key in path):
        return "a value that is not shown"
    if isinstance(value, str):
        text = redacted(value)
        return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, dict) else "a list"


def _fault(error: ErrorDetails, places: Mapping[KeyPath, Location]) -> Fault:
    path = _written(tuple(error["loc"]), error["type"], places)
    place = locate(places, path)
    path = tuple(redacted(key) if isinstance(key, str) else key for key in path)
    problem, hint = _words(error, tuple(error["loc"]))
    return Fault(problem, Location(path, place.file, place.line), hint)


def _written(path: KeyPath, kind: str, places: Mapping[KeyPath, Location]) -> KeyPath:
    """`path` as it stands in the file: without what was added where a single value stands for a list or a mapping."""
    path = path[:-1] if path[-1:] == ("[key]",) else path
    known: KeyPath = ()
    for key in path:
        if (*known, key) in places:
            known = (*known, key)
        elif not isinstance(key, int):
            break
    return (*known, path[-1]) if kind == "missing" and known[-1:] != path[-1:] else known or path


def _words(error: ErrorDetails, path: KeyPath) -> tuple[str, str | None]:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        return "it is required, and not there", None
    if kind == "extra_forbidden":
        return _unknown_key(path)
    found = shown(error["input"], path)
    if kind in {"enum", "literal_error"}:
        return f"found {found}, allowed: {_choices(context)}", did_you_mean_one(error["input"], _choices(context))
    if kind == "value_error":
        return f"found {found}: {context['error']}", None
    if kind in _ALLOWED:
        return f"found {found}, allowed: {_ALLOWED[kind]}{_example(kind, path)}", None
    return f"found {found}: {error['msg'].replace('Input should be', 'it must be')}", None


def did_you_mean_one(value: object, choices: str) -> str | None:
    """A hint where one of the `choices` is near."""
    close = nearest(str(value), choices.split(", ")) if isinstance(value, str) else None
    return f"did you mean {close}?" if close else None


def _choices(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "").replace(" or ", ", ")


def _unknown_key(path: KeyPath) -> tuple[str, str | None]:
    key = str(path[-1])
    if key in _LATER:
        return "not available in this version", None
    return "unknown key", did_you_mean(key, _keys_beside(path))


def _keys_beside(path: KeyPath) -> list[str]:
    return list(shape_of(_type_at(path[:-1])).fields)


def _example(kind: str, path: KeyPath) -> str:
    """The keys that a mapping at `path` must have, if any."""
    fields = shape_of(_type_at(path)).fields if kind == "model_type" else {}
    required = [f"{key}: ..." for key, info in fields.items() if info.is_required()]
    return f", such as {{{', '.join(required)}}}" if required else ""


def _type_at(path: KeyPath) -> Any:
    annotation: Any = File
    for key in path:
        annotation = get_args(annotation)[0] if isinstance(key, int) else below(annotation, key)
    return annotation
