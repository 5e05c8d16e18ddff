"""What operators did, and what became of it: written down in the database of the service that it was done to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DBAPIError

from busbridge.store._rows import InboxState
from busbridge.store._tables import actions, inbox

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Executable

    from busbridge.store._store import Store


class ActionRow(NamedTuple):
    """One action."""

    id: str
    time: float
    """When it began, in seconds since 1970 by the database's clock."""
    who: str
    what: str
    subscription: str
    """Empty: all of them."""
    which: str
    """What was asked for."""
    state: str
    """`running`; a process that was killed leaves it so."""
    done: int
    refused: int


_COLUMNS: Final = tuple(actions.c[name] for name in ActionRow._fields)


async def begin_action(store: Store, id: str, what: str, subscription: str, which: str, who: str) -> None:  # noqa: A002
    """Writes an action down before it begins. Raises StoreError."""
    values = {"id": id, "what": what, "subscription": subscription, "which": which, "who": who}
    await run_statement(store, insert(actions).values(service=store.service, state="running", **values))


async def write_action(store: Store, id: str, done: int, refused: int, state: str) -> None:  # noqa: A002
    """Writes down how far an action has come. Raises StoreError."""
    await run_statement(
        store, update(actions).where(actions.c.id == id).values(done=done, refused=refused, state=state)
    )


async def actions_of(store: Store, limit: int) -> list[ActionRow]:
    """The latest actions on a service, newest first. Raises StoreError."""
    found = select(*_COLUMNS).where(actions.c.service == store.service).order_by(actions.c.time.desc()).limit(limit)
    return [ActionRow(*row) for row in await run_statement(store, found)]


async def ended_by_redrive(store: Store, redrive: str) -> tuple[int, int]:
    """How many messages that a redrive brought were handled, and how many are dead again. Raises StoreError."""
    began = select(actions.c.time).where(actions.c.id == redrive).scalar_subquery()
    counted = (
        select(inbox.c.state, func.count())
        .where(inbox.c.service == store.service, inbox.c.changed >= began, inbox.c.redrive == redrive)
        .group_by(inbox.c.state)
    )
    counts = dict([tuple(row) for row in await run_statement(store, counted)])
    return counts.get(InboxState.HANDLED.value, 0), counts.get(InboxState.DEAD.value, 0)


async def run_statement(store: Store, statement: Executable) -> list[Any]:
    """An operator's statement in a transaction of its own: its rows, if it returns any. Raises StoreError."""
    try:
        async with store.transaction() as transaction:
            result = await transaction.connection.execute(statement)
            return list(result.all()) if result.returns_rows else []
    except DBAPIError as error:
        raise store.told(error) or error from error
