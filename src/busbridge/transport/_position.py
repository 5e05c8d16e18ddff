"""A place in a stream."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """Where a message stands in a stream."""

    partition: int
    offset: int


class Part(NamedTuple):
    """What is read of a partition: from the offset `begin` up to, and without, `end`; None: there is no end."""

    begin: int
    end: int | None
