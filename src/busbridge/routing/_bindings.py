"""What `match:` binds. A wildcard that is a whole word is the broker's; one inside a word is expanded here, at load.

`shop.order-*` can't be said to a broker, whose `*` is one whole word. It stands for the routing keys of the contracts
that are routed to the topic, and becomes one exact key for each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busbridge.routing._faults import nearest
from busbridge.routing._patterns import matches
from busbridge.routing._topology import Binding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busbridge.routing._config import KeyPath
    from busbridge.routing._problems import Problems

_LONGEST: Final = 255
_WORD: Final = re.compile(r"[^.\-_]+")
_SHORT: Final = 3
_MISSPELT: Final = 0.9
"""Above it are typing errors, below it `shop.order-created` and `shop.order-cancelled`."""


def bindings_of(patterns: Iterable[str], keys: Sequence[str], path: KeyPath, problems: Problems) -> tuple[Binding, ...]:
    """The bindings for `patterns`, each once; `keys` are the routing keys that reach the topic."""
    formed = well_formed(patterns, path, problems)
    left = [key for key in keys if not any(matches(pattern, key) for _, pattern in formed)]
    for place, pattern in formed:
        _refuse_misspelt(pattern, left, place, problems)
    found = dict.fromkeys(each for place, pattern in formed for each in _expanded(pattern, keys, place, problems))
    return tuple(Binding(each) for each in found)


def well_formed(patterns: Iterable[str], path: KeyPath, problems: Problems) -> list[tuple[KeyPath, str]]:
    """The patterns that are ones, each with its place."""
    placed = (
        ((*path, index) if (*path, index) in problems.places else path, pattern)
        for index, pattern in enumerate(patterns)
    )
    return [(place, pattern) for place, pattern in placed if _is_well_formed(pattern, place, problems)]


def _is_well_formed(pattern: str, path: KeyPath, problems: Problems) -> bool:
    words = pattern.split(".")
    if not all(words) or len(pattern.encode(errors="replace")) > _LONGEST:
        problems.add(path, f"{pattern!r} is no pattern", "words joined by '.', `*` for one word, `#` for any number")
    elif any("#" in word and word != "#" for word in words):
        problems.add(path, f"`#` stands for whole words, in {pattern!r} it is inside one", "use `*`")
    else:
        return True
    return False


def _refuse_misspelt(pattern: str, left: Sequence[str], path: KeyPath, problems: Problems) -> None:
    """Notes a key that differs by a letter or two from one of `left`, the keys that nothing takes here.

    No other key is refused: it may be that of a producer whom the configuration doesn't know.
    """
    if "*" in pattern or "#" in pattern or pattern in left or problems.unread.incomplete(("routes",)):
        return
    close = nearest(pattern, left, _MISSPELT)
    if close and not _is_variant(pattern, close):
        problem = f"no contract is routed to the topic with the key {pattern!r}"
        hint = f"did you mean {close}? If another producer writes {pattern}, give a route this routing_key"
        problems.add(path, problem, hint)


def _is_variant(one: str, other: str) -> bool:
    """Whether they differ in short words, in numbers or in how many words there are: on purpose, most likely.

    As `order.v1`, `order.v2` and `order.v1-eu` do.
    """
    words, others = _WORD.findall(one), _WORD.findall(other)
    if len(words) != len(others):
        return True
    pairs = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    return all(min(map(len, pair)) <= _SHORT or any(map(str.isdigit, "".join(pair))) for pair in pairs)


def _expanded(pattern: str, keys: Sequence[str], path: KeyPath, problems: Problems) -> Sequence[str]:
    if all("*" not in word or word == "*" for word in pattern.split(".")):
        return [pattern]
    return _keys_like(pattern, keys, path, problems)


def _keys_like(pattern: str, keys: Sequence[str], path: KeyPath, problems: Problems) -> Sequence[str]:
    matching = [key for key in keys if matches(pattern, key)]
    if not matching and not problems.unread.incomplete(("routes",)):
        close = nearest(pattern, keys)
        hint = f"did you mean {close}?" if close else f"routed there: {', '.join(keys) or 'nothing'}"
        problems.add(path, f"{pattern!r} matches no contract that is routed to the topic", hint)
    return matching
