"""What is told of an error: its words and its stack, as UTF-8 carries them, without what the configuration redacts."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern

REDACTED: Final = "[redacted]"
LONGEST_WORDS: Final = 1000
"""Characters of an error's text that are kept: AMQP bounds a message's headers by one frame."""
LONGEST_STACK: Final = 8000
"""Characters of its stack that are kept: the last, where it was raised."""


def words_of(error: BaseException) -> str:
    """What a handler's error says, as UTF-8 can carry it, also where asking it fails."""
    try:
        return _carried(str(error))
    except Exception as failure:  # noqa: BLE001 - the error's own: a dead letter without its words is better than none
        return f"<its text failed with {type(failure).__qualname__}>"


def stack_of(error: BaseException) -> str:
    """Where it was raised, with the errors that led to it; empty for one that nobody raised."""
    if error.__traceback__ is None:
        return ""
    try:
        return _carried("".join(traceback.format_exception(error)))
    except Exception as failure:  # noqa: BLE001 - the error's own, as above
        return f"<its stack failed with {type(failure).__qualname__}>"


def redacted(text: str, patterns: Iterable[Pattern[str]]) -> str:
    """The text with every match of the patterns replaced."""
    for pattern in patterns:
        text = pattern.sub(REDACTED, text)
    return text


def _carried(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
