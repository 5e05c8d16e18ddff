"""Where a contract class stands in its source, and errors that say so."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from busbridge.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable


def source_location(module: str) -> str:
    """`file:line` of the statement of `module` that is being executed now. Empty when there is none."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") != module:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def class_error(cls: type, location: str, problem: str) -> ContractError:
    """A ContractError that names the class and where it stands."""
    where = f" ({location})" if location else ""
    return ContractError(f"{cls.__module__}.{cls.__qualname__}{where}: {problem}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'version'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
