"""The slots of the outbox that a relay holds, and until when: after that it publishes nothing (T15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from busbridge.store import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.store import Store

_RENEWED: Final = 1 / 3
"""The part of a lease after which it is renewed: often, since that is when what another has left is found."""
_MARGIN: Final = 0.9
"""The part of a lease that is used: what begins at its end must be written before it is another's."""


@final
class Tenure:
    """The leases of one relay. By a clock of this process that is read before the database is asked: it ends early."""

    def __init__(self, store: Store, owner: str, seconds: float, clock: Callable[[], float]) -> None:
        self.owner = owner
        self.slots: frozenset[int] = frozenset()
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._asked = -seconds
        self._until = 0.0

    def holds(self, slot: int) -> bool:
        """Whether rows of `slot` may still be published."""
        return slot in self.slots and self._clock() < self._until

    @property
    def all(self) -> bool:
        """Whether there is no other relay that publishes anything."""
        return len(self.slots) == SLOTS

    @property
    def due(self) -> bool:
        """Whether `renew` has something to do."""
        return self._clock() - self._asked >= self._seconds * _RENEWED

    async def renew(self) -> None:
        """Asks for slots, where it is time to. Raises StoreError; what is held then ends by itself.

        Slots may be given up while rows of theirs are on their way. Who gets them begins with these rows, so that the
        order of first publication holds; they are published twice then, with the same ids (T15).
        """
        if not self.due:
            return
        asked = self._clock()
        self.slots = await self._store.lease(self.owner, self._seconds)
        self._asked, self._until = asked, asked + self._seconds * _MARGIN

    async def end(self) -> None:
        """Gives everything up, so that others need not wait. Raises StoreError."""
        self.slots = frozenset()
        await self._store.release(self.owner)
