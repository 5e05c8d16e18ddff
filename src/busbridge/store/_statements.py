"""What a database has to be able to do for the store: the seam between SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from busbridge.store._rows import InboxKey, InboxRow, OutboxRow, ParkedRow, RunRow, TimerRow, Trouble


class Lease(NamedTuple):
    """Who publishes what is in one slot of the outbox, and until when."""

    slot: int
    owner: str
    until: float


class Waiting(NamedTuple):
    """What is in the outbox."""

    pending: int
    """Rows that are not confirmed and not parked."""
    parked: int
    oldest: float | None
    """Age in seconds of the oldest pending row."""


class WaitingTimers(NamedTuple):
    """The timers of one place."""

    place: str
    """`service.subscription/handler`, or where what is to be published later waits."""
    waiting: int
    earliest: float
    """When the first one is due, in seconds since 1970 by the database's clock."""


class Statements(Protocol):
    """The store's statements on one connection, in the transaction that it is in. Set-based: one call, many rows.

    Raises what the driver raises.
    """

    @property
    def waited(self) -> float:
        """See `Transaction.waited`."""
        ...

    async def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        ...

    async def savepoint(self) -> None: ...

    async def release(self) -> None: ...

    async def rollback_to(self) -> None: ...

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against COMMIT; else `ensure_open` finds out."""
        ...

    async def ensure_open(self) -> None:
        """Raises if the transaction has been undone already, so that COMMIT would do nothing and not say so."""
        ...

    async def inbox(self, keys: Sequence[InboxKey]) -> list[InboxRow]:
        """The rows that are there, kept from being changed by others until the end of the transaction."""
        ...

    async def put_inbox(self, service: str, new: Sequence[InboxRow], known: Sequence[InboxRow]) -> bool:
        """Inserts and updates. False if one of `new` has been inserted by another transaction meanwhile."""
        ...

    async def put_outbox(self, service: str, rows: Sequence[OutboxRow]) -> int | None:
        """Inserts. The id of the last one, where all ids are given without gaps, in the order of commits; else None."""
        ...

    async def put_timers(self, service: str, rows: Sequence[TimerRow]) -> None: ...

    async def drop_timers(self, ids: Collection[str]) -> int: ...

    async def parked(self, subscription: str, keys: Collection[str]) -> list[str]:
        """Those of `keys` that have messages parked; their first ones stay until the end of the transaction."""
        ...

    async def put_parked(self, service: str, rows: Sequence[ParkedRow]) -> None: ...

    async def next_parked(self, subscription: str, key: str) -> ParkedRow | None:
        """Deletes the first of a key; returns the one after it."""
        ...

    async def pending(
        self, service: str, slots: Collection[int], limit: int, without: Collection[str]
    ) -> list[OutboxRow]: ...

    async def newest(self, service: str, pending: int) -> int | None:
        """The id of the newest row of all, if the service has no other rows than these `pending`, and none that failed.

        None where it has, or where ids say nothing about the order of commits.
        """
        ...

    async def sent(self, ids: Collection[int]) -> None: ...

    async def failed(self, troubles: Sequence[Trouble]) -> None: ...

    async def waiting(self, service: str) -> Waiting: ...

    async def backlog(self, service: str, most: int) -> int: ...

    async def claim_timers(self, places: Collection[str], owner: str, limit: int, seconds: float) -> list[TimerRow]: ...

    async def take_timers(self, place: str, limit: int) -> list[TimerRow]:
        """Deletes up to `limit` due timers, earliest first. None while another transaction does the same."""
        ...

    async def next_due(self, place: str) -> float | None:
        """When the earliest timer of `place` is due, by the database's clock."""
        ...

    async def timers(self, service: str, place: str | None, limit: int) -> list[TimerRow]: ...

    async def waiting_timers(self, service: str) -> list[WaitingTimers]: ...

    async def advance_timers(self, service: str, seconds: float) -> None: ...

    async def run(self, service: str, run: str) -> RunRow | None: ...

    async def put_run(self, service: str, row: RunRow, owner: str, seconds: float) -> bool:
        """Inserts or updates; it is `owner`'s for `seconds`. False, and nothing done, where it is another's now."""
        ...

    async def live_owners(self, service: str, owner: str, seconds: float) -> list[str]:
        """Keeps other calls of it out until the end of the transaction; says that `owner` lives."""
        ...

    async def leases(self, service: str) -> list[Lease]: ...

    async def put_leases(self, service: str, owner: str, slots: Collection[int], seconds: float) -> None:
        """Makes `slots`, and no other, those of `owner`."""
        ...

    async def drop_owner(self, service: str, owner: str) -> None: ...

    async def clean(self, service: str, window: float, limit: int) -> int:
        """Deletes up to `limit` inbox rows that ended longer ago than `window` seconds."""
        ...
