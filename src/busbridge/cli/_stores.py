"""What `busbridge store` does: the tables of the services' stores, looked at and brought up to date."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from busbridge.cli._services import find_services
from busbridge.errors import StoreError, StoreOutdated
from busbridge.runtime.effects._strangers import strangers
from busbridge.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.routing import Config
    from busbridge.runtime import Service
    from busbridge.store import Waiting, WaitingTimers


def upgrade(targets: Sequence[str], config: Config) -> None:
    """Upgrades every store and says what was done; then typer.Exit with 1 if one could not be."""
    each_store(targets, config, _upgraded)


def check(targets: Sequence[str], config: Config) -> None:
    """Says of every store whether it fits, and changes none; then typer.Exit with 1 if one does not."""
    each_store(targets, config, _checked)


async def _upgraded(store: Store) -> str:
    before = await store.upgrade()
    after = await _checked(store)
    return after if before.fits else f"{after}, upgraded from {before.found or 'nothing'}"


async def _checked(store: Store) -> str:
    state = await store.check()
    if not state.fits:
        raise StoreOutdated(store.database, state.found, state.wanted)
    return f"version {state.found}"


def timers(targets: Sequence[str], config: Config) -> None:
    """Prints what waits in the stores until it is due; of services that `targets` name also what nobody takes."""
    table = Table("waits for", "timers", "next", "", box=box.SIMPLE_HEAD, pad_edge=False)
    services = {service.name: service for service in find_services(targets)}
    for store in _stores(targets, config):
        for row in asyncio.run(_waiting(store, services.get(store.service))):
            table.add_row(*row)
    Console().print(table if table.row_count else "nothing waits")


async def _waiting(store: Store, service: Service[Any] | None) -> list[tuple[str, str, str, str]]:
    try:
        await store.open(upgrade=False)
        waiting = await store.waiting_timers()
    finally:
        await store.close()
    lost: set[str] = set() if service is None else {each.place for each in strangers(waiting, service)}
    return [(*_told_of(each), "no such handler" if each.place in lost else "") for each in waiting]


def _told_of(each: WaitingTimers) -> tuple[str, str, str]:
    due = datetime.fromtimestamp(each.earliest, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return each.place, f"{each.waiting:,}", due


def outbox(targets: Sequence[str], config: Config) -> None:
    """Says of every store what is in its outbox; then typer.Exit with 1 if one could not be asked."""

    async def told(store: Store) -> str:
        await store.open(upgrade=False)
        plan = config.services[store.service].store
        return _outbox_told(await store.waiting(), plan.outbox_limit if plan else 0)

    each_store(targets, config, told)


def _outbox_told(found: Waiting, limit: int) -> str:
    full = f" (full: more than {limit:,})" if 0 < limit < found.pending else ""
    oldest = f", the oldest for {max(0, found.oldest):.0f} s" if found.oldest is not None else ""
    return f"{found.pending:,} waiting{full}{oldest}; {found.parked:,} parked"


def each_store(targets: Sequence[str], config: Config, work: Callable[[Store], Awaitable[str]]) -> None:
    """One after another, and each is closed; none is left out because another failed. Then typer.Exit with 1."""
    failures = [store for store in _stores(targets, config) if not asyncio.run(_told(store, work))]
    if failures:
        raise typer.Exit(1)


async def _told(store: Store, work: Callable[[Store], Awaitable[str]]) -> bool:
    try:
        typer.echo(f"{store.service}: {store.database}: {await work(store)}")
    except StoreError as error:
        typer.echo(f"{store.service}: {error}", err=True)
        return False
    else:
        return True
    finally:
        await store.close()


def _stores(targets: Sequence[str], config: Config) -> list[Store]:
    """The stores of the services that `targets` name; of all if it names none."""
    names = [service.name for service in find_services(targets)] or list(config.services)
    plans = {name: plan.store for name, plan in config.services.items() if plan.store is not None}
    without = [name for name in names if name not in plans] if targets else []
    if without or not plans:
        raise typer.BadParameter(f"{', '.join(without) or 'no service'} has {'no' if without else 'a'} store")
    return [Store(plans[name].url.get_secret_value(), name) for name in names if name in plans]
