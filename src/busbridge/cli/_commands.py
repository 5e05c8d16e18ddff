"""What the commands do. Imported when one runs, so that `--help` and `version` are quick."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml
from rich.console import Console

from busbridge.cli._missing import missing_lines
from busbridge.cli._services import find_services
from busbridge.cli._show import flow_table, flows
from busbridge.contract import CATALOG, export
from busbridge.errors import ConfigurationError, Fault
from busbridge.routing import Config, load
from busbridge.routing import schema as file_schema
from busbridge.runtime import (
    InstalledTransports,
    MemoryTransports,
    Service,
    Transports,
    faults,
    made_up,
    serve,
    transport_faults,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT = Path("busbridge.yaml")


def run(targets: Sequence[str], files: Sequence[Path], *, memory: bool) -> None:
    """Serves until a signal. ConfigurationError where services and configuration don't fit."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("busbridge").setLevel(logging.INFO)  # the brokers' clients narrate their every step at INFO
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # and pika tells as errors what ours say, or mend
    services = find_services(targets)
    loaded = _made_up(services) if memory and not files and not _DEFAULT.exists() else _load(files)
    transports: Transports = MemoryTransports() if memory else InstalledTransports()
    found = _joined_faults(services, loaded, transports)
    if found:
        raise ConfigurationError(found)
    asyncio.run(serve(services, loaded, transports=transports))


def check(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Says that all is fine, or every fault and what is missing; then typer.Exit with 1."""
    services = find_services(targets)
    loaded = _load(files)
    transports = InstalledTransports()
    found = list(dict.fromkeys([*transport_faults(loaded, transports), *_joined_faults(services, loaded, transports)]))
    if not found:
        typer.echo(f"fine: {str(loaded)[1:-1]}")
        return
    typer.echo(str(ConfigurationError(found)), err=True)
    lines = missing_lines(services, loaded)
    if lines:
        typer.echo(f"\n# missing, ready to paste:\n{lines}", nl=False)
    raise typer.Exit(1)


def show(targets: Sequence[str], files: Sequence[Path]) -> None:
    """Prints the table of flows."""
    services = find_services(targets)
    Console().print(flow_table(flows(_load(files), services)))


def contracts(targets: Sequence[str], output: Path, files: Sequence[Path]) -> None:
    """Writes the schemas below `output` and prints the files that changed."""
    known = dict.fromkeys(contract for service in find_services(targets) for contract in service.contracts)
    catalog = _load(files).catalog if files or _DEFAULT.exists() else CATALOG
    for file in export(known, output, catalog):
        typer.echo(file)


def schema() -> None:
    """Prints the JSON Schema of a configuration file."""
    typer.echo(json.dumps(file_schema(), indent=2))


def _load(files: Sequence[Path]) -> Config:
    if not files and not _DEFAULT.exists():
        raise typer.BadParameter(f"there is no {_DEFAULT} in {Path.cwd()}: name a file with -c")
    return load(*(files or [_DEFAULT]))


def _made_up(services: Sequence[Service[Any]]) -> Config:
    document = made_up(services)
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
    typer.echo(f"# no {_DEFAULT}: running with this one, in memory\n{text}", nl=False)
    return load(document)


def _joined_faults(services: Sequence[Service[Any]], config: Config, transports: Transports) -> list[Fault]:
    found = (fault for service in services for fault in faults(service, config, transports))
    return list(dict.fromkeys(found))
