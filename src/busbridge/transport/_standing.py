"""What a message carries while it waits for its next attempt, so that it comes back as it went.

It is a copy of the original, byte for byte, with headers after its own. Who hands it over takes these off again: what
they say goes into the delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from busbridge.transport._position import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.transport._messages import Headers

_PREFIX: Final = "busbridge-waiting-"
_ATTEMPTS: Final = f"{_PREFIX}attempts"
_POSITION: Final = f"{_PREFIX}position"


class Standing(NamedTuple):
    """How far a message had come when it was put off."""

    attempts: int = 0
    """Those that were made."""
    position: Position | None = None
    """Where it stands in its stream."""


def standing_headers(attempts: int, position: Position | None) -> Sequence[tuple[str, str]]:
    """The headers that say so."""
    place = [] if position is None else [(_POSITION, f"{position.partition}:{position.offset}")]
    return [(_ATTEMPTS, str(attempts)), *place]


def standing_in(headers: Headers) -> Standing:
    """What the headers of a message say. What is missing or makes no sense counts as not said."""
    said = {name: _text(value) for name, value in headers if name.startswith(_PREFIX)}
    attempts = said.get(_ATTEMPTS, "")
    return Standing(int(attempts) if attempts.isdecimal() else 0, _position(said.get(_POSITION, "")))


def without_standing(headers: Headers) -> list[tuple[str, object]]:
    """The other headers, in order."""
    return [pair for pair in headers if not pair[0].startswith(_PREFIX)]


def _position(text: str) -> Position | None:
    partition, _, offset = text.partition(":")
    return Position(int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else None


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
