"""A place in a stream."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """Where a message stands in a stream."""

    partition: int
    offset: int
