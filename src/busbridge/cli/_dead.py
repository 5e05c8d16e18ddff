"""What the commands on dead letters do."""

# ruff: noqa: PLC0415 - SQLAlchemy is imported where a store is asked for

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from busbridge.cli._commands import config_files
from busbridge.cli._dead_letter_json import as_json as letter_json
from busbridge.cli._dead_tables import action_table, group_table, letter_table, one_letter
from busbridge.cli._person import who
from busbridge.cli._services import find_services
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, dead_letters_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Sequence
    from pathlib import Path
    from typing import Any, TextIO

    from busbridge.runtime import DeadLetters, Done, Group, Which


class How(NamedTuple):
    """How a write action goes on."""

    limit: int | None = None
    rate: float | None = None
    canary: int = 0
    wait: float = 30.0
    beyond_window: bool = False
    yes: bool = False


def show_list(
    target: str, files: Sequence[Path], which: Which, limit: int | None, *, each: bool, as_json: bool
) -> None:
    """Prints the groups, or each dead letter; of at most `limit`."""
    asyncio.run(_list(target, files, which, limit, each=each, as_json=as_json))


async def _list(
    target: str, files: Sequence[Path], which: Which, limit: int | None, *, each: bool, as_json: bool
) -> None:
    async with _dead_letters(target, files) as dead:
        if each:
            letters = [letter async for letter in dead.read(which, limit=limit)]
            told: list[Any] = [letter_json(letter) for letter in letters] if as_json else []
            _print(told if as_json else letter_table(letters), as_json=as_json)
        else:
            groups = await dead.groups(which, limit=limit)
            _print([_group(one) for one in groups] if as_json else group_table(groups), as_json=as_json)


def show(target: str, files: Sequence[Path], id: str, subscription: str, *, as_json: bool) -> None:  # noqa: A002
    """Prints one dead letter. Raises NoDeadLetter."""

    async def found() -> None:
        async with _dead_letters(target, files) as dead:
            letter = await dead.find(id, subscription)
            _print(letter_json(letter) if as_json else one_letter(letter), as_json=as_json)

    asyncio.run(found())


def export(target: str, files: Sequence[Path], which: Which, limit: int | None, output: Path | None) -> None:
    """Writes a line for each, `limit` at most, and says how many."""
    with ExitStack() as stack:
        file = stack.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
        count = asyncio.run(_export(target, files, which, limit, file))
    typer.echo(f"{count} exported", err=True)


async def _export(target: str, files: Sequence[Path], which: Which, limit: int | None, file: TextIO) -> int:
    count = 0
    async with _dead_letters(target, files) as dead:
        async for letter in dead.read(which, limit=limit):
            file.write(json.dumps(letter_json(letter), ensure_ascii=False) + "\n")
            count += 1
    return count


def redrive(target: str, files: Sequence[Path], which: Which, how: How) -> None:
    """Asks, sends them again, says how many; typer.Exit with 1 where one was refused. Raises CanaryFailed."""

    async def sent(dead: DeadLetters, progress: _Bar) -> Done:
        return await dead.redrive(
            which,
            limit=how.limit,
            rate=how.rate,
            canary=how.canary,
            wait=how.wait,
            beyond_window=how.beyond_window,
            who=who(),
            progress=progress,
        )

    _confirm(f"send again what is meant by: {which}", how)
    done = asyncio.run(_shown("redriving", target, files, sent))
    typer.echo(f"{done.count} redriven, as {done.id}")
    for each in done.refused:
        typer.echo(f"{each.id} was refused and stays: {each.why}", err=True)
    if done.refused:
        raise typer.Exit(1)


def discard(target: str, files: Sequence[Path], which: Which, how: How) -> None:
    """Asks, removes them, says how many."""

    async def removed(dead: DeadLetters, progress: _Bar) -> Done:
        return await dead.discard(which, limit=how.limit, who=who(), progress=progress)

    _confirm(f"remove for good what is meant by: {which}", how)
    done = asyncio.run(_shown("discarding", target, files, removed))
    typer.echo(f"{done.count} discarded")


def actions(target: str, files: Sequence[Path], limit: int) -> None:
    """Prints what was done."""
    from busbridge.store import Store, actions_of

    (service,) = find_services([target])
    config = load(*config_files(files))
    plan = config.services[service.name].store if service.name in config.services else None
    if plan is None:
        raise typer.BadParameter(f"{service.name} has no store: its actions are only logged")

    async def rows() -> None:
        store = Store(plan.url.get_secret_value(), service.name)
        try:
            await store.open(upgrade=False)
            _print(action_table(await actions_of(store, limit)), as_json=False, nothing="no actions")
        finally:
            await store.close()

    asyncio.run(rows())


class _Bar:
    """A bar on the terminal, how much of what is there was done."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def __call__(self, done: int, remaining: int) -> None:
        self._progress.update(self._task, completed=done, total=done + remaining)


async def _shown(what: str, target: str, files: Sequence[Path], work: Any) -> Done:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        async with _dead_letters(target, files) as dead:
            doing: Coroutine[Any, Any, Done] = work(dead, _Bar(progress, what))
            return await doing


@asynccontextmanager
async def _dead_letters(target: str, files: Sequence[Path]) -> AsyncGenerator[DeadLetters]:
    (service,) = find_services([target])
    async with dead_letters_of(service.name, load(*config_files(files)), InstalledTransports()) as dead:
        yield dead


def _confirm(what: str, how: How) -> None:
    """Raises typer.Abort where the answer is no."""
    limit = f", at most {how.limit}" if how.limit else ""
    if not how.yes:
        typer.confirm(f"{what}{limit}?", abort=True)


def _group(group: Group) -> dict[str, object]:
    return {
        "subscription": group.subscription,
        "reason": group.reason,
        "error_type": group.error_type,
        "count": group.count,
        "oldest": group.oldest.isoformat() if group.oldest else None,
        "newest": group.newest.isoformat() if group.newest else None,
    }


def _print(what: Any, *, as_json: bool, nothing: str = "no dead letters") -> None:
    """As JSON, or on the terminal: there `nothing` in the place of an empty table."""
    if as_json:
        typer.echo(json.dumps(what, ensure_ascii=False, indent=2))
    else:
        Console().print(what if what.row_count else nothing)
