"""Where a configuration could not be read, so that one mistake is told once and not again by what follows from it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath


@final
class Unread:
    """The places whose value was refused or lost: what is missing there may stand in the files all the same."""

    __slots__ = ("_misnamed", "_paths")

    def __init__(self) -> None:
        self._paths: set[KeyPath] = set()
        self._misnamed: set[KeyPath] = set()

    def add(self, path: KeyPath) -> None:
        """Notes that what stands at `path` could not be read, or not all of it."""
        self._paths.add(path)

    def misname(self, path: KeyPath) -> None:
        """Notes that the last key of `path` is wrong itself: it may have been meant to be one like it."""
        (self._misnamed if path else self._paths).add(path)

    def update(self, other: Unread) -> None:
        """Notes all that `other` has."""
        self._paths |= other._paths
        self._misnamed |= other._misnamed

    def __contains__(self, path: KeyPath) -> bool:
        """Whether this very place could not be read."""
        return path in self._paths

    def hides(self, path: KeyPath) -> bool:
        """Whether something may have been written at `path` that nobody could read there."""
        return any(path[:length] in self._paths for length in range(len(path) + 1)) or any(
            _meant(each, path) for each in self._misnamed
        )

    def within(self, path: KeyPath) -> bool:
        """Whether anything at `path`, above or below it could not be read."""
        below = (each[: len(path)] == path for each in (*self._paths, *self._misnamed))
        return self.hides(path) or any(below)

    def incomplete(self, path: KeyPath) -> bool:
        """Whether the mapping at `path` may have had entries that are missing now, whatever their names."""
        entries = (len(each) == len(path) + 1 and each[:-1] == path for each in (*self._paths, *self._misnamed))
        return self.hides(path) or any(entries)

    def names(self, path: KeyPath) -> list[str]:
        """The keys directly below `path` whose entries have faults, though their names have none."""
        return sorted(str(each[-1]) for each in self._paths - self._misnamed if each and each[:-1] == path)


def _meant(misnamed: KeyPath, path: KeyPath) -> bool:
    """Whether `misnamed` may be a wrong spelling of `path`, or of what `path` lies in."""
    *above, word = misnamed
    beside = path[: len(misnamed)]
    if len(beside) < len(misnamed) or list(beside[:-1]) != above:
        return False
    return bool(get_close_matches(str(word).lower(), [str(beside[-1]).lower()], 1))
