"""Which messages a binding of a topic takes: the meaning of patterns and headers, for those who only want to know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busbridge.routing._topology import Binding


def takes(binding: Binding, routing_key: str, headers: Mapping[str, str]) -> bool:
    """Whether `binding` takes a message with this routing key and these headers."""
    if binding.pattern is not None:
        return matches(binding.pattern, routing_key)
    equal = (headers.get(name) == value for name, value in binding.headers.items())
    return all(equal) if binding.match_all else any(equal)


def matches(pattern: str, key: str) -> bool:
    """Whether `key` fits `pattern`: a word `*` is one word, `#` any number, a `*` inside a word any part of it."""
    return _words_match(pattern.split("."), key.split(".") if key else [])


def _words_match(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Row by row of a table, since trying every split would take for ever on a pattern of many `#`."""
    reached = [True] + [False] * len(words)
    for each in pattern:
        if each == "#":
            first = reached.index(True) if True in reached else len(reached)
            reached = [position >= first for position in range(len(reached))]
        else:
            reached = [False, *(before and _fits(each, word) for before, word in zip(reached, words, strict=False))]
    return reached[-1]


def _fits(pattern: str, word: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), word) is not None
