"""What `busbridge store parked` does: messages that brokers refused for good, looked at and decided about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from busbridge.cli._person import who
from busbridge.cli._stores import each_store
from busbridge.envelope import new_id
from busbridge.store import begin_action, discard_parked, parked_messages, release_parked, write_action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from busbridge.routing import Config
    from busbridge.store import ParkedMessage, Store

    Act = Callable[[Store, Collection[str]], Awaitable[list[str]]]
    """Does something to parked messages; returns the ids of those that it was done to."""

ALL: Final = "all"
"""In place of an id: every message that is parked."""
_SHOWN: Final = 100
"""Messages of one store that are listed at once."""


class Decided(NamedTuple):
    """What is to become of parked messages, by their ids."""

    release: Sequence[str]
    """May be `all`."""
    discard: Sequence[str]


def show(targets: Sequence[str], config: Config) -> None:
    """Prints what is parked; typer.Exit with 1 if a store could not be asked."""
    table = Table(
        "service", "message id", "to", "key", "waits since", "refused for", box=box.SIMPLE_HEAD, pad_edge=False
    )

    async def listed(store: Store) -> str:
        await store.open(upgrade=False)
        found = await parked_messages(store, _SHOWN + 1)
        for each in found[:_SHOWN]:
            table.add_row(store.service, *_cells(each))
        return (
            f"{len(found)} parked" if len(found) <= _SHOWN else f"more than {_SHOWN} parked, the oldest of them below"
        )

    try:
        each_store(targets, config, listed)
    finally:
        if table.row_count:
            Console().print(table)


def decide(targets: Sequence[str], config: Config, decided: Decided) -> None:
    """Does it and says how many it was; typer.Exit with 1 where nothing of an id is parked, or a store failed."""
    asked = {*decided.release, *decided.discard} - {ALL}
    if both := sorted({*decided.release} & {*decided.discard}):
        raise typer.BadParameter(f"{', '.join(both)} can't be both released and discarded")
    if ALL in decided.discard:
        raise typer.BadParameter("--discard takes ids, and not `all`: what is discarded is gone")
    found: set[str] = set()

    async def done(store: Store) -> str:
        await store.open(upgrade=False)
        discarded = await _noted(store, "discard", decided.discard, discard_parked)
        released = await _noted(store, "release", decided.release, _release)  # last: `all` is what is left
        found.update(released, discarded)
        return f"{len(released)} released, {len(discarded)} discarded"

    each_store(targets, config, done)
    if unknown := sorted(asked - found):
        typer.echo(f"nothing is parked with the id {', '.join(unknown)}", err=True)
        raise typer.Exit(1)


async def _release(store: Store, ids: Collection[str]) -> list[str]:
    return await release_parked(store, None if ALL in ids else ids)


async def _noted(store: Store, what: str, ids: Collection[str], act: Act) -> list[str]:
    """Written down before it is done, so that a command that was killed has left its trace, and how it ended."""
    if not ids:
        return []
    action = new_id()
    await begin_action(store, action, f"{what} parked", "outbox", ", ".join(ids), who())
    try:
        done = await act(store, ids)
    except BaseException as error:
        await write_action(store, action, 0, 0, f"stopped: {type(error).__name__}")
        raise
    await write_action(store, action, len(done), 0, "finished")
    return done


def _cells(each: ParkedMessage) -> tuple[str, str, str, str, str]:
    since = datetime.fromtimestamp(each.created, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return escape(each.message_id), escape(each.destination), escape(each.key or "-"), since, escape(each.error)
