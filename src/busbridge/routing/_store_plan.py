"""Where a service keeps what must happen exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from pydantic import SecretStr


@final
@dataclass(frozen=True, slots=True)
class StorePlan:
    """The store of one service."""

    url: SecretStr = field(repr=False)
    """`sqlite:///FILE` or `postgresql://...`, with the password if it has one."""
    shown: str
    """The URL without user, password and settings: what may be shown."""
    window: float
    """Seconds for which a message that was handled is known as such."""
    upgrade: bool
    """Whether opening a bus brings the store's schema up to date."""
    batch: int
    """Messages handled in one transaction, at most."""
    connections: int
    """Connections to PostgreSQL that are open, at most."""
    outbox_limit: int
    """Messages that wait in the outbox while subscriptions take new ones, at most; 0: any number."""
