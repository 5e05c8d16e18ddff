"""A message that is to be published later, as its publisher may see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from datetime import datetime


@final
@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message that waits in the store until it is to be published."""

    id: str
    """The message's, which `Bus.cancel` takes."""
    due: datetime
    """In UTC, by the clock of the store's database."""
    contract: str
    """The name of its contract."""
    destinations: tuple[str, ...]
