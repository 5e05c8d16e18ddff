"""Which routing keys and headers a binding takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busbridge.routing import Binding
    from busbridge.transport import Headers


def takes(bindings: Iterable[Binding], routing_key: str, headers: Headers) -> bool:
    """True if one of the bindings takes a message of this routing key and these headers."""
    return any(_takes(binding, routing_key, headers) for binding in bindings)


def _takes(binding: Binding, routing_key: str, headers: Headers) -> bool:
    if binding.pattern is not None and not key_matches(binding.pattern, routing_key):
        return False
    if binding.headers:
        return _headers_match(binding, headers)
    return binding.pattern is not None


def _headers_match(binding: Binding, headers: Headers) -> bool:
    carried = {name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in headers}
    found = (carried.get(name) == value for name, value in binding.headers.items())
    return all(found) if binding.match_all else any(found)


def key_matches(pattern: str, routing_key: str) -> bool:
    """True if the pattern takes the key: `*` is one word, `#` any number, words are split on `.`."""
    return _words_match(_words(pattern), _words(routing_key))


def _words(text: str) -> Sequence[str]:
    return text.split(".") if text else ()


def _words_match(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_words_match(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _words_match(pattern[1:], words[1:])
