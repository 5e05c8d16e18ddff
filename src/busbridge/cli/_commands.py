"""What the commands do. Imported when one runs, so that `--help` and `version` are quick."""

# ruff: noqa: PLC0415 - SQLAlchemy is imported where a store is asked for

from __future__ import annotations

import asyncio
import gc
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml
from rich.console import Console

from busbridge.cli._missing import missing_lines
from busbridge.cli._services import find_services
from busbridge.cli._show import flow_table, flows, warnings
from busbridge.contract import CATALOG, export
from busbridge.errors import ConfigurationError
from busbridge.routing import in_order, load, read
from busbridge.routing import schema as file_schema
from busbridge.runtime import (
    InstalledTransports,
    MemoryTransports,
    Service,
    Transports,
    faults,
    made_up,
    relay,
    serve,
    store_faults,
    transport_faults,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT = Path("busbridge.yaml")


def run(targets: Sequence[str], files: Sequence[Path], *, memory: bool, relaying: bool = True) -> None:
    """Serves until a signal. ConfigurationError where services and configuration don't fit."""
    _log_to_stderr()
    services = find_services(targets)
    config = _made_up(services) if memory and not files and not _DEFAULT.exists() else config_files(files)
    transports: Transports = MemoryTransports() if memory else InstalledTransports()
    asyncio.run(serve(services, config, transports=transports, relay=relaying, opened=_spare_collector))


def _spare_collector() -> None:
    """Keeps what the process has made until now from the garbage collector: it stays until the end."""
    gc.collect()
    gc.freeze()


def relay_alone(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Relays until a signal. ConfigurationError where services and configuration don't fit, or one has no store."""
    _log_to_stderr()
    asyncio.run(relay(find_services(targets), config_files(files)))


def replay(target: str, files: Sequence[Path], start: str, until: str, run: str | None, publish: str | None) -> None:
    """Makes a replay run; typer.Exit with 1 where it was stopped before its end."""
    from busbridge.cli import _replay

    _log_to_stderr()
    _replay.make_run(target, config_files(files), start, until, run, publish)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("busbridge").setLevel(logging.INFO)  # the brokers' clients narrate their every step at INFO
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # and pika tells as errors what ours say, or mend


def check(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Says that all is fine, warning of handlers that no route leads to; or every fault and what is missing.

    typer.Exit with 1 where there are faults.
    """
    services = find_services(targets)
    reading = read(*config_files(files))
    transports = InstalledTransports()
    of_all = *transport_faults(reading, transports), *store_faults(reading)
    found = in_order([*faults(services, reading, transports), *of_all])
    if not found:
        for line in warnings(reading.config, services):
            typer.echo(f"warning: {line}", err=True)
        typer.echo(f"fine: {str(reading.config)[1:-1]}")
        return
    typer.echo(str(ConfigurationError(found)), err=True)
    lines = missing_lines(services, reading)
    if lines:
        typer.echo(f"\n# missing, ready to paste:\n{lines}", nl=False)
    raise typer.Exit(1)


def show(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Prints the table of flows."""
    services = find_services(targets)
    Console().print(flow_table(flows(load(*config_files(files)), services)))


def upgrade_store(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Brings the stores up to date and says so; typer.Exit with 1 where one could not be."""
    from busbridge.cli import _stores

    _stores.upgrade(targets, load(*config_files(files)))


def store_timers(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Prints what waits in the stores."""
    from busbridge.cli import _stores

    _stores.timers(targets, load(*config_files(files)))


def store_outbox(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Says what is in the outboxes; typer.Exit with 1 where one could not be asked."""
    from busbridge.cli import _stores

    _stores.outbox(targets, load(*config_files(files)))


def store_parked(targets: Sequence[str], files: Sequence[Path], release: Sequence[str], discard: Sequence[str]) -> None:
    """Prints what is parked, or decides about it; typer.Exit with 1 where that could not be done."""
    from busbridge.cli import _parked

    config = load(*config_files(files))
    if release or discard:
        _parked.decide(targets, config, _parked.Decided(release, discard))
    else:
        _parked.show(targets, config)


def check_store(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Says whether the stores fit; typer.Exit with 1 where one does not."""
    from busbridge.cli import _stores

    _stores.check(targets, load(*config_files(files)))


def contracts(targets: Sequence[str], output: Path, files: Sequence[Path]) -> None:
    """Writes the schemas below `output` and prints the files that are new or changed; on stderr, versions that changed.

    typer.Exit with 1 where they can't be written.
    """
    known = dict.fromkeys(contract for service in find_services(targets) for contract in service.contracts)
    catalog = load(*config_files(files)).catalog if files or _DEFAULT.exists() else CATALOG
    try:
        before = set(output.glob("*/*.json"))
        written = export(known, output, catalog)
    except OSError as error:
        typer.echo(f"the catalog can't be written: {error.filename or output}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    for file in written:
        typer.echo(file)
        if file in before:
            typer.echo(f"changed: {file.parent.name}/{file.stem}", err=True)


def schema() -> None:
    """Prints the JSON Schema of a configuration file."""
    typer.echo(json.dumps(file_schema(), indent=2))


def config_files(files: Sequence[Path]) -> Sequence[Path]:
    """The files to load. Raises typer.BadParameter where none is given and the default is not there."""
    if not files and not _DEFAULT.exists():
        raise typer.BadParameter(f"there is no {_DEFAULT} in {Path.cwd()}: name a file with -c")
    return files or [_DEFAULT]


def _made_up(services: Sequence[Service[Any]]) -> dict[str, object]:
    """The configuration for services that have no file, which it prints."""
    document = made_up(services)
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
    typer.echo(f"# no {_DEFAULT}: running with this one, in memory\n{text}", nl=False)
    return document
