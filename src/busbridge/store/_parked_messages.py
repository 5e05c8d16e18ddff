"""What brokers refused of an outbox for good, in the hands of an operator: looked at, tried again, forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, select, update

from busbridge.store._actions import run_statement
from busbridge.store._tables import outbox

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement

    from busbridge.store._store import Store


class ParkedMessage(NamedTuple):
    """One message on its way to one destination."""

    message_id: str
    destination: str
    key: str | None
    """As JSON."""
    created: float
    """Seconds since 1970 by the database's clock."""
    attempts: int
    error: str
    """What it was refused for."""


_COLUMNS: Final = tuple(outbox.c[name] for name in ParkedMessage._fields)


async def parked_messages(store: Store, limit: int) -> list[ParkedMessage]:
    """The first `limit` messages that are parked in the outbox of the service, oldest first. Raises StoreError."""
    found = select(*_COLUMNS).where(*_parked(store)).order_by(outbox.c.id).limit(limit)
    return [ParkedMessage(*row) for row in await run_statement(store, found)]


async def release_parked(store: Store, ids: Collection[str] | None) -> list[str]:
    """Has the parked messages of these ids published again, all of them for None, in their place before later ones.

    Returns the id of each that was, one for each destination. Raises StoreError.
    """
    anew = {"parked": False, "attempts": 0, "due": 0.0, "error": None}
    changed = update(outbox).where(*_parked(store, ids)).values(anew).returning(outbox.c.message_id)
    return [id for (id,) in await run_statement(store, changed)]  # noqa: A001 - the column


async def discard_parked(store: Store, ids: Collection[str]) -> list[str]:
    """Forgets the parked messages of these ids: later ones of their keys go out.

    Returns the id of each that was, one for each destination. Raises StoreError.
    """
    gone = delete(outbox).where(*_parked(store, ids)).returning(outbox.c.message_id)
    return [id for (id,) in await run_statement(store, gone)]  # noqa: A001 - the column


def _parked(store: Store, ids: Collection[str] | None = None) -> list[ColumnElement[bool]]:
    of_service = [outbox.c.service == store.service, outbox.c.parked]
    return of_service if ids is None else [*of_service, outbox.c.message_id.in_(ids)]
