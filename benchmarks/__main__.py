"""`python -m benchmarks`: what `scripts/bench` runs once there are brokers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmarks.databases import POSTGRESQL
from benchmarks.filled import Filled
from benchmarks.footprint import footprint
from benchmarks.report import as_json, table
from benchmarks.rounds import RoundFailedError, run
from benchmarks.works import WORKS

if TYPE_CHECKING:
    from benchmarks.rounds import Measured
    from benchmarks.works import Work

_ROUNDS, _QUICK_ROUNDS = 5, 3
_QUICK_SCALE = 0.25
_TABLE_WIDTH = 130
_VARIABLES = {
    "rabbitmq": "BUSBRIDGE_TEST_RABBITMQ_URL",
    "kafka": "BUSBRIDGE_TEST_KAFKA_URL",
    "postgresql": POSTGRESQL,
}

console = Console(stderr=True)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer messages, 3 rounds: a look, not a result.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the ratios to this file.")] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Of: {', '.join(each.name for each in WORKS)}.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each work.")] = None,
) -> None:
    """Measures busbridge beside raw clients and FastStream, and prints rates, costs and ratios."""
    urls = _urls()
    count, scale = rounds or (_QUICK_ROUNDS if quick else _ROUNDS), _QUICK_SCALE if quick else 1.0
    measured = {work: _measure(work, urls[work.broker], count, scale) for work in _chosen(only)}
    resting = None if only else footprint(urls)
    if json_file:
        json_file.write_text(json.dumps(as_json(measured, resting), indent=2) + "\n", encoding="utf-8")
    printer = Console(width=max(console.width, _TABLE_WIDTH))
    printer.print(table(measured))
    for line in resting.lines() if resting else ():
        printer.print(line, highlight=False)
    printer.print(f"{count} rounds{' of a quarter of the messages: a look, not a result' if quick else ''}")


def _urls() -> dict[str, str]:
    missing = [variable for variable in _VARIABLES.values() if variable not in os.environ]
    if missing:
        raise typer.BadParameter(f"{' and '.join(missing)} not set: run scripts/bench, which brings brokers up")
    return {broker: os.environ[variable] for broker, variable in _VARIABLES.items()}


def _chosen(only: list[str] | None) -> list[Work]:
    known = {work.name: work for work in WORKS}
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"no such work: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in only or known]


def _measure(work: Work, url: str, rounds: int, scale: float) -> dict[str, list[Measured]]:
    """Interleaved: each round has every side once, each time in another order; a slow minute hurts all alike."""
    measured: dict[str, list[Measured]] = {side.name: [] for side in work.sides}
    with Filled(work, scale, _tell) as filled:
        for number in range(rounds):
            turn = number % len(work.sides)
            for side in work.sides[turn:] + work.sides[:turn]:
                _tell(f"{work.name} {number + 1}/{rounds} {side.name} ...")
                try:
                    found = run(work, side, url, scale, filled)
                except RoundFailedError as error:
                    console.print(str(error), markup=False)
                    raise typer.Exit(1) from error
                measured[side.name].append(found)
                _tell(f"    {found.rate:,.0f}/s, {found.cpu:.0f} µs")
    return measured


def _tell(line: str) -> None:
    console.print(line, highlight=False)


if __name__ == "__main__":
    typer.run(main)
