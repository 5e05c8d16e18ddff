"""Environment variables that override single keys: `BUSBRIDGE_TRANSPORTS__RABBITMQ__URL`.

pydantic-settings takes the variables apart; which key is meant is found here, since a variable's name can tell neither
letter case nor `-` and `.` from `_`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

from pydantic import create_model
from pydantic_settings import BaseSettings, EnvSettingsSource

from busbridge.errors import Fault, Location
from busbridge.routing._document import Document
from busbridge.routing._faults import nearest
from busbridge.routing._model import File
from busbridge.routing._shape import Shape, keys_of, shape_of
from busbridge.routing._unread import Unread
from busbridge.routing._values import Plain
from busbridge.routing._yaml import value_from_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from busbridge.routing._config import KeyPath
    from busbridge.routing._document import Node

PREFIX: Final = "BUSBRIDGE_"
_LEVEL: Final = "__"


def overridden(document: Document, environ: Mapping[str, str]) -> Document:
    """`document` with the keys that `environ` overrides replaced; a variable that fits no key is a fault."""
    variables = {name.upper(): value for name, value in environ.items() if _is_override(name.upper())}
    if not variables:
        return document
    sections = {key: info for key, info in keys_of(File).items() if key != "include"}
    known = {name: value for name, value in variables.items() if _head(name) in sections}
    overrides = _Overrides()
    overrides.faults.extend(_clashes(variables))
    flat = {name: key for name in variables if (key := _begun(name)) is not None}
    overrides.faults.extend(_flat(flat, sections))
    overrides.faults.extend(_unknown_sections([name for name in variables if name not in flat], sections))
    overrides.take(_nested(known, sections), Shape(fields=sections), document.data, _At())
    return overrides.document().over(document)


def _is_override(name: str) -> bool:
    """A name of several levels, or one that is, or begins with, a key at the top. Others may be anybody's."""
    if not name.startswith(PREFIX):
        return False
    return _LEVEL in name.removeprefix(PREFIX) or _head(name) in File.model_fields or _begun(name) is not None


def _begun(name: str) -> str | None:
    """The key at the top that one underscore follows where two were meant: `BUSBRIDGE_STOP_GRACE`."""
    return next((key for key in File.model_fields if _head(name).startswith(f"{key}_")), None)


def _head(name: str) -> str:
    return name.removeprefix(PREFIX).partition(_LEVEL)[0].lower()


def _unknown_sections(names: Iterable[str], sections: Collection[str]) -> Iterable[Fault]:
    for name in names:
        if (head := _head(name)) not in sections:
            close = nearest(head, sections)
            hint = f"did you mean {_name((close,))}{name[len(PREFIX) + len(head) :]}?" if close else None
            yield Fault("it overrides no key of the configuration", _variable(name), hint)


def _flat(names: Mapping[str, str], sections: Mapping[str, FieldInfo]) -> Iterable[Fault]:
    """Faults of variables that go on after a key at the top with one underscore; `names` says which key that is."""
    for name, key in names.items():
        is_leaf = key not in sections or shape_of(sections[key].annotation).is_value
        hint = None if is_leaf else f"two underscores lead to a key below: {_name((key, ''))}..."
        yield Fault("it overrides no key of the configuration", _variable(name), hint)


def _clashes(variables: Mapping[str, str]) -> Iterable[Fault]:
    for name in variables:
        inner = next((other for other in variables if other.startswith(name + _LEVEL)), None)
        if inner is not None:
            yield Fault(f"it and {inner} override the same key", _variable(name), "unset one of them")


@final
class _Variables(EnvSettingsSource):
    """Leaves every value as text: a password of digits is no number, and the model decides what a key means."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        return value


def _nested(variables: Mapping[str, str], sections: Iterable[str]) -> dict[str, Any]:
    """The variables as nested mappings; keys are lower-case."""
    fields: dict[str, Any] = {section: (dict[str, Any], {}) for section in sections}
    shell = create_model("Overrides", __base__=BaseSettings, **fields)
    source = _Variables(shell, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=_LEVEL)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    return source()


class _At(NamedTuple):
    """A place: the keys that lead there, and how the variable's name spells them."""

    words: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    def below(self, word: str, key: str) -> _At:
        return _At((*self.words, word), (*self.path, key))


class _Overrides:
    """Puts each variable at the key that it means."""

    __slots__ = ("_data", "_places", "_unread", "faults")

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._data: dict[str, Node] = {}
        self._places: dict[KeyPath, Location] = {}
        self._unread = Unread()

    def document(self) -> Document:
        """The layer of everything taken so far."""
        return Document(self._data, self._places, self.faults, self._unread)

    def take(self, values: Mapping[str, Any], shape: Shape, current: Node, at: _At) -> None:
        """Takes `values`, which stand in `current`, at `at`."""
        known = list(shape.fields) or list(current if isinstance(current, dict) else ())
        for word, value in values.items():
            matches = [key for key in known if _spelling(key) == word]
            if len(matches) != 1:
                self._unknown(word, value, at, matches, known)
                continue
            key = matches[0]
            inner = shape_of(shape.fields[key].annotation if shape.fields else shape.item)
            below = current.get(key) if isinstance(current, dict) else None
            self._take_one(value, inner, below, at.below(word, key))

    def _take_one(self, value: Any, shape: Shape, current: Node, at: _At) -> None:
        if not isinstance(value, dict):
            self._put(at, str(value))
        elif shape.is_value:
            for name in _names(cast("dict[str, Any]", value), at.words):
                self.faults.append(Fault(f"{at.path[-1]} has no keys below it", _variable(name)))
        else:
            self.take(cast("dict[str, Any]", value), shape, current, at)

    def _unknown(self, word: str, value: Any, at: _At, matches: Sequence[str], known: Iterable[str]) -> None:
        close = None if matches else nearest(word, [_spelling(key) for key in known])
        problem = f"it may mean {' or '.join(matches)}" if matches else "it overrides no key of the configuration"
        for name in _names({word: value}, at.words):
            hint = f"did you mean {_replaced(name, at.words, word, close)}?" if close else None
            self.faults.append(Fault(problem, _variable(name), hint))

    def _put(self, at: _At, text: str) -> None:
        place = _variable(_name(at.words))
        value: Node = Plain(text)
        if text.lstrip().startswith(("[", "{")):
            value, faults = value_from_yaml(text, str(place))
            self.faults.extend(faults)
            if faults:
                self._unread.add(at.path)
        section = self._data
        for key in at.path[:-1]:
            section = cast("dict[str, Node]", section.setdefault(key, {}))
        section[at.path[-1]] = value
        self._places[at.path] = Location(at.path, place.file)


def _spelling(key: str) -> str:
    return re.sub(r"[-.]", "_", key).lower()


def _names(values: Mapping[str, Any], words: tuple[str, ...]) -> Iterable[str]:
    """The variables that `values` came from."""
    for word, value in values.items():
        if isinstance(value, dict):
            yield from _names(cast("dict[str, Any]", value), (*words, word))
        else:
            yield _name((*words, word))


def _name(words: tuple[str, ...]) -> str:
    return PREFIX + _LEVEL.join(words).upper()


def _replaced(name: str, words: tuple[str, ...], word: str, close: str) -> str:
    """The variable's `name` with `close` in the place of the `word` that follows `words`, and its rest."""
    return _name((*words, close)) + name.removeprefix(_name((*words, word)))


def _variable(name: str) -> Location:
    return Location(file=f"environment variable {name}")
