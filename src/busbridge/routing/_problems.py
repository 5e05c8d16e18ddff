"""Collects what is wrong while a configuration is put together, so that all of it is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import Fault, Location
from busbridge.routing._config import locate
from busbridge.routing._faults import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from busbridge.routing._config import KeyPath


@final
class Problems:
    """The faults so far, and the places of the keys they are about."""

    __slots__ = ("faults", "places")

    def __init__(self, places: Mapping[KeyPath, Location]) -> None:
        self.places = places
        self.faults: list[Fault] = []

    def add(self, path: KeyPath, problem: str, hint: str | None = None) -> None:
        """Notes that what stands at `path` is wrong."""
        self.faults.append(Fault(problem, locate(self.places, path), hint))

    def unknown(self, path: KeyPath, what: str, name: str, known: Iterable[str]) -> None:
        """Notes that `path` names something that is not there."""
        self.add(path, f"there is no {what} {name!r}", did_you_mean(name, known))
