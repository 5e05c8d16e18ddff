"""What `busbridge replay` does: a run, with its progress on stderr."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast, final

import typer

from busbridge.cli._services import find_services
from busbridge.runtime import replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from busbridge.runtime import Counts, Publish, Replay, Start
    from busbridge.transport import Until

_PUBLISH: Final[Mapping[str, Publish]] = {"refuse": "refuse", "send": "send", "drop": "drop"}
_SHAPE: Final = "MODULE:SERVICE.SUBSCRIPTION, such as shop.loyalty:loyalty.award-points"
_TOLD_EVERY: Final = 5.0
"""Seconds between two lines, where they are not read on a terminal."""


def make_run(target: str, files: Sequence[Path], start: str, until: str, run: str | None, publish: str | None) -> None:
    """Makes it to its end; typer.Exit with 1 where it was stopped before."""
    service_target, subscription = _parts(target)
    (service,) = find_services([service_target])
    progress = _Progress()
    done = asyncio.run(
        replay(
            service,
            files,
            subscription,
            progress.tell,
            start=_start(start),
            until=_until(until),
            publish=_publish(publish),
            run=run,
        )
    )
    progress.end(done=done)
    if not done:
        raise typer.Exit(1)


def _parts(target: str) -> tuple[str, str]:
    module, _, rest = target.partition(":")
    service, dot, subscription = rest.partition(".")
    if not (module and service and dot and subscription):
        raise typer.BadParameter(f"{target!r} is not {_SHAPE}: handlers are found by the module that has them")
    return f"{module}:{service}", subscription


def _start(text: str) -> Start:
    if text in ("earliest", "latest"):
        return cast("Start", text)
    return int(text) if text.isdecimal() else _time(text, "--from", "earliest, an offset")


def _until(text: str) -> Until:
    return "now" if text == "now" else _time(text, "--until", "now")


def _time(text: str, option: str, others: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"{option}: found {text!r}; allowed: {others}, a time such as 2030-01-31T12:00+01:00")
    return moment


def _publish(text: str | None) -> Publish | None:
    if text is None or text in _PUBLISH:
        return None if text is None else _PUBLISH[text]
    raise typer.BadParameter(f"--publish: found {text!r}; allowed: refuse, send, drop")


def _counted(counts: Counts | None) -> str:
    if counts is None:
        return "nothing was left to do"
    discarded, dead = counts.discarded.total(), counts.dead.total()
    return f"{counts.handled} handled, {counts.duplicate} duplicates, {discarded} discarded, {dead} dead letters"


@final
class _Progress:
    """How far a run has come: on a terminal a line that changes, else a line now and then."""

    def __init__(self) -> None:
        self._run: Replay | None = None
        self._began = time.monotonic()
        self._first: int | None = None
        self._said = float("-inf")
        self._clear = "\r\x1b[K" if sys.stderr.isatty() else ""

    def tell(self, run: Replay) -> None:
        """Says it, where it is time to."""
        if self._run is None:
            typer.echo(f"replay run {run.id}", err=True)
            self._run, self._first, self._began = run, run.remaining, time.monotonic()
        now = time.monotonic()
        if self._clear:
            typer.echo(f"{self._clear}{self._line(run)}", err=True, nl=False)
        elif now - self._said >= _TOLD_EVERY:
            self._said = now
            typer.echo(self._line(run), err=True)

    def end(self, *, done: bool) -> None:
        """Says how it ended."""
        if (run := self._run) is None:
            typer.echo("stopped before it had begun", err=True)
            return
        ended = "done" if done else f"stopped: go on with --run {run.id}"
        typer.echo(f"{self._clear}{ended}; {_counted(run.counts)}", err=True)

    def _line(self, run: Replay) -> str:
        left, past = run.remaining or 0, (self._first or 0) - (run.remaining or 0)
        rate = past / max(time.monotonic() - self._began, 0.001)
        eta = f", {left / rate:,.0f} s to go" if past and left else ""
        return f"{past:,} handled, {left:,} left, {rate:,.0f}/s{eta}"
