"""`${NAME}` and `${NAME:-default}` in any value of the configuration; `$${` stands for a `${` that is meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busbridge.errors import Fault
from busbridge.routing._config import locate
from busbridge.routing._document import Document, edited
from busbridge.routing._values import Plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing._config import KeyPath
    from busbridge.routing._document import Node

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")


def interpolated(document: Document, environ: Mapping[str, str]) -> Document:
    """`document` with the variables' values in place; a variable that has none and no default is a fault."""
    result = Document({}, document.places, list(document.faults), document.unread)

    def edit(path: KeyPath, text: str) -> Node:
        value, problems = substitute(text, environ)
        for problem, hint in problems:
            result.lose(Fault(problem, locate(document.places, path), hint))
        return None if problems else _like(text, value)

    result.data.update({key: edited(value, edit, (key,)) for key, value in document.data.items()})
    return result


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """`text` with its variables replaced, and problem with hint for each that can't be."""
    problems: list[tuple[str, str]] = []

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            problems.append(("`${` begins no variable", "write ${NAME} or ${NAME:-default}; a literal `${` is `$${`"))
            return ""
        value = environ.get(name) or default
        if value is None and name not in environ:
            problems.append((f"the variable {name} is not set", f"set it, or give a default: ${{{name}:-...}}"))
        return value or ""

    return _VARIABLE.sub(value_of, text), problems


def _like(text: str, value: str) -> Node:
    """What a variable gave counts as unquoted, since YAML forces quotes around `${`; empty counts as not given."""
    if value == text:
        return text
    return Plain(value) if value else None
