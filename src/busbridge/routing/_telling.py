"""What the record of a dead letter tells of the error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import DeadLettersSection
    from busbridge.routing._problems import Problems


@final
@dataclass(frozen=True, slots=True)
class Telling:
    """Dead letters are read by more people than logs are: what may not be seen by all of them is left out."""

    stack: bool = True
    """Whether where the error was raised is told."""
    redact: tuple[re.Pattern[str], ...] = ()
    """What is replaced in the error's text and stack."""


def telling(path: KeyPath, section: DeadLettersSection, problems: Problems) -> Telling:
    """What `section`, which stands at `path`, lets be told."""
    patterns = (_pattern((*path, "redact", index), each, problems) for index, each in enumerate(_listed(section)))
    return Telling(section.stack is not False, tuple(each for each in patterns if each is not None))


def _listed(section: DeadLettersSection) -> list[str]:
    return section.redact or []


def _pattern(path: KeyPath, text: str, problems: Problems) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error as error:
        problems.add(path, f"not a regular expression: {error}")
        return None
