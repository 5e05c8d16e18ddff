"""Collects what is wrong while a configuration is put together, so that all of it is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import Fault, Location
from busbridge.routing._config import locate
from busbridge.routing._faults import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from busbridge.routing._config import KeyPath
    from busbridge.routing._unread import Unread


@final
class Problems:
    """The faults so far, the places of the keys they are about, and where nothing could be read."""

    __slots__ = ("faults", "places", "unread")

    def __init__(self, places: Mapping[KeyPath, Location], unread: Unread) -> None:
        self.places = places
        self.unread = unread
        self.faults: list[Fault] = []

    def add(self, path: KeyPath, problem: str, hint: str | None = None, *, because: KeyPath | None = None) -> None:
        """Notes that what stands at `path` is wrong; not if what stands at `because`, which it rests on, is unread."""
        if because is None or not self.unread.within(because):
            self.faults.append(Fault(problem, locate(self.places, path), hint))

    def unknown(self, path: KeyPath, what: str, name: str, known: Iterable[str]) -> None:
        """Notes that `path` names something that is not there."""
        self.add(path, f"there is no {what} {name!r}", did_you_mean(name, known))

    def refer(self, path: KeyPath, section: str, name: str, known: Collection[str]) -> None:
        """Notes a `name` that is not among those `known` of a section, unless it stands where nothing could be read."""
        if name not in known and not self.unread.hides((section, name)):
            self.unknown(path, section.removesuffix("s"), name, known)
