"""A transaction of the store: the user's statements and ours, committed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import StoreContention

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from busbridge.store._guard import Guard
    from busbridge.store._rows import InboxKey, InboxRow, OutboxRow, ParkedRow, TimerRow
    from busbridge.store._statements import Statements


@final
class Transaction:
    """An open transaction, for one task at a time. `Store.transaction` begins and ends it.

    Every method raises StoreUnavailable where the database is away, StoreContention where another transaction is in
    the way, StoreError for anything else. After any of them the transaction can only be left.
    """

    def __init__(self, connection: AsyncConnection, statements: Statements, guard: Guard, service: str) -> None:
        self.connection = connection
        self.statements = statements
        self._guard = guard
        self._service = service
        self._read: dict[InboxKey, InboxRow] = {}

    @property
    def waited(self) -> float:
        """Seconds that statements of the user's have taken, where another process executes them."""
        return self.statements.waited

    async def ensure_open(self) -> None:
        """StoreError where a statement has failed that nothing can be committed after, and was not rolled back."""
        if not self.statements.sound:
            await self._guard.run(self.statements.ensure_open())

    async def savepoint(self) -> None:
        """Marks where `rollback_to` goes back to."""
        await self._guard.run(self.statements.savepoint())

    async def release(self) -> None:
        """Keeps what was done since `savepoint`, which ends.

        StoreError where a statement failed meanwhile that nothing can be committed after, and was not rolled back.
        """
        await self._guard.run(self.statements.release())

    async def rollback_to(self) -> None:
        """Undoes what was done since `savepoint`, which stays. Works after a statement that failed, too."""
        await self._guard.run(self.statements.rollback_to())

    async def inbox(self, keys: Iterable[InboxKey]) -> dict[InboxKey, InboxRow]:
        """The rows that are there. Until the end of the transaction no other can change them."""
        rows = await self._guard.run(self.statements.inbox(sorted(set(keys))))
        found = {row.key: row for row in rows}
        self._read.update(found)
        return found

    async def put_inbox(self, rows: Iterable[InboxRow]) -> None:
        """Inserts or updates, the last one where a key comes twice.

        A row that `inbox` did not show must be a new one: StoreContention where another transaction has inserted it
        meanwhile, since that one has had the same message.
        """
        ordered = [row for _, row in sorted({row.key: row for row in rows}.items())]
        if not ordered:
            return
        new = [row for row in ordered if row.key not in self._read]
        known = [row for row in ordered if row.key in self._read]
        if not await self._guard.run(self.statements.put_inbox(self._service, new, known)):
            raise StoreContention(self._guard.database, "another transaction has had the same message")
        self._read.update((row.key, row) for row in ordered)

    async def put_outbox(self, rows: Sequence[OutboxRow]) -> int | None:
        """Inserts in this order, which is the order of their ids.

        Returns the last one's id where each id is one more than the one that was committed before it; else None.
        """
        return await self._guard.run(self.statements.put_outbox(self._service, rows)) if rows else None

    async def put_timers(self, rows: Sequence[TimerRow]) -> None:
        """Inserts; a timer of the same id is replaced, and claimed by nobody."""
        if rows:
            await self._guard.run(self.statements.put_timers(self._service, rows))

    async def drop_timers(self, ids: Collection[str]) -> int:
        """Deletes, and says how many were there still."""
        return await self._guard.run(self.statements.drop_timers(ids)) if ids else 0

    async def take_timers(self, place: str, limit: int) -> list[TimerRow]:
        """Deletes up to `limit` due timers of `place` and returns them, earliest first.

        None while another transaction does the same, so that theirs are committed before any later ones.
        """
        return await self._guard.run(self.statements.take_timers(place, limit))

    async def next_due(self, place: str) -> float | None:
        """When the earliest timer of `place` is due, by the database's clock; None: there is none."""
        return await self._guard.run(self.statements.next_due(place))

    async def parked(self, subscription: str, keys: Collection[str]) -> frozenset[str]:
        """Those of `keys` that have messages parked. They are not `next_parked` before the transaction has ended."""
        return frozenset(await self._guard.run(self.statements.parked(subscription, sorted(keys))) if keys else ())

    async def put_parked(self, rows: Sequence[ParkedRow]) -> None:
        """Inserts in this order, behind what is there."""
        if rows:
            await self._guard.run(self.statements.put_parked(self._service, rows))

    async def next_parked(self, subscription: str, key: str) -> ParkedRow | None:
        """Deletes the first message of a key; returns the one that is first now, None where the key is parked no more.

        Waits for a transaction that has seen the key as parked, and may add to it.
        """
        return await self._guard.run(self.statements.next_parked(subscription, key))

    async def now(self) -> float:
        """Seconds since 1970 by the database's clock; on SQLite the process's."""
        return await self._guard.run(self.statements.now())
