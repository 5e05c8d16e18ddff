"""What became of published rows, on its way into the database: kept until it is written, however long that takes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeAlias, final

from busbridge.store import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from busbridge.store import Look, OutboxRow, Store

    Parked: TypeAlias = Callable[[str, str, BaseException | None], None]
    """Told of the id of a message, its destination, and what it was refused for."""

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0
"""Seconds before a row that was not confirmed is tried again."""
_LONGEST_TEXT: Final = 1000


@final
class Marks:
    """Written by one task at a time. Writing the same twice does no harm, so a failure leaves all of it for later."""

    def __init__(self, store: Store, parked: Parked | None = None) -> None:
        self._store = store
        self._parked = parked
        self._sent: list[int] = []
        self._troubles: list[Trouble] = []

    def sent(self, row: OutboxRow) -> None:
        """The broker owns it."""
        self._sent.append(row.id)

    def failed(self, row: OutboxRow, error: BaseException | None) -> None:
        """It is tried again, later each time."""
        longest = min(_FIRST_DELAY * 2.0 ** min(row.attempts, 30), _LONGEST_DELAY)
        delay = random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter
        self._troubles.append(Trouble(row.id, _words(error), delay))

    def refused(self, row: OutboxRow, error: BaseException | None) -> None:
        """It is not tried again until somebody decides."""
        self._troubles.append(Trouble(row.id, _words(error), None))
        if self._parked is not None:
            self._parked(row.message_id, row.destination, error)

    async def write(self) -> None:
        """Writes what there is. Raises StoreError."""
        if len(self):
            await self.exchange((), 0, ())

    async def exchange(self, slots: Collection[int], limit: int, without: Collection[str]) -> Look:
        """Writes what there is and reads, in the transaction of that, what may be published next. Raises StoreError."""
        await self._write_troubles()
        sent = tuple(self._sent)
        look = await self._store.look(slots, limit, without, sent=sent)
        del self._sent[: len(sent)]
        return look

    async def _write_troubles(self) -> None:
        if troubles := tuple(self._troubles):
            await self._store.failed(troubles)
            del self._troubles[: len(troubles)]

    def __len__(self) -> int:
        return len(self._sent) + len(self._troubles)


def _words(error: BaseException | None) -> str:
    words = f"{type(error).__name__}: {error}" if error else "not confirmed"
    return words.encode(errors="backslashreplace").decode().replace("\0", "\\0")[:_LONGEST_TEXT]
