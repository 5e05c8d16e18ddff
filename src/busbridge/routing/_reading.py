"""What reading a configuration gave: as much of it as could be read, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from busbridge.routing._unread import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.errors import Fault
    from busbridge.routing._config import Config


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration to be checked further before its faults are raised. Good for use only if it has none."""

    config: Config
    """Without what could not be read."""
    faults: tuple[Fault, ...] = ()
    unread: Unread = field(default_factory=Unread)
    """Where `config` lacks what the files may have."""


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Each once: those of files as they stand in them, then those that have no place in a file."""
    return sorted(dict.fromkeys(faults), key=_place)


def _place(fault: Fault) -> tuple[bool, str, int]:
    return fault.location.file is None, fault.location.file or "", fault.location.line or 0
