"""The commands and their options. Exit codes: 0 fine, 1 faults, 2 wrong usage."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from busbridge.cli._missing import missing_lines
from busbridge.cli._services import find_services
from busbridge.cli._show import flow_table, flows
from busbridge.contract import CATALOG, export
from busbridge.errors import BusbridgeError, ConfigurationError, Fault
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

_DEFAULT = Path("busbridge.yaml")

_app = typer.Typer(
    name="busbridge",
    help="Services over RabbitMQ and Kafka: run them, check and show what goes where.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_SERVICES_HELP = "Services, as shop.billing:billing."
_Targets = Annotated[list[str] | None, typer.Argument(metavar="[MODULE:SERVICE...]", help=_SERVICES_HELP)]
_Files = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="Configuration; repeated, later files win. [busbridge.yaml]"),
]


def main() -> None:
    """Runs the command in `sys.argv` and exits. An error of this library is told in words, on stderr."""
    try:
        _app()
    except BusbridgeError as error:
        print(error, file=sys.stderr)  # noqa: T201 - what a command line says
        sys.exit(1)


@_app.command()
def run(
    targets: Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE...", help=_SERVICES_HELP)],
    config: _Files = None,
    memory: Annotated[bool, typer.Option("--memory", help="In memory instead of on brokers; needs no file.")] = False,  # noqa: FBT002
) -> None:
    """Run services until SIGTERM or SIGINT, then stop gracefully."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("busbridge").setLevel(logging.INFO)  # the brokers' clients narrate their every step at INFO
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # and pika tells as errors what ours say, or mend
    services = find_services(targets)
    loaded = _made_up(services) if memory and not config and not _DEFAULT.exists() else _load(config)
    transports: Transports = MemoryTransports() if memory else InstalledTransports()
    found = _joined_faults(services, loaded, transports)
    if found:
        raise ConfigurationError(found)
    asyncio.run(serve(services, loaded, transports=transports))


@_app.command()
def check(targets: _Targets = None, config: _Files = None) -> None:
    """Tell every fault of the configuration, and of services joined with it, without connecting."""
    services = find_services(targets or ())
    loaded = _load(config)
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


@_app.command()
def show(targets: _Targets = None, config: _Files = None) -> None:
    """List contract, destination, subscription and, of the services given, handler."""
    services = find_services(targets or ())
    Console().print(flow_table(flows(_load(config), services)))


@_app.command()
def contracts(
    targets: Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE...", help=_SERVICES_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The catalog's folder.")] = Path("contracts"),
    config: _Files = None,
) -> None:
    """Write the contracts of services to the catalog, as JSON Schema: a file for each version, older ones kept."""
    known = dict.fromkeys(contract for service in find_services(targets) for contract in service.contracts)
    catalog = _load(config).catalog if config or _DEFAULT.exists() else CATALOG
    for file in export(known, output, catalog):
        typer.echo(file)


@_app.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file, so that editors complete it."""
    typer.echo(json.dumps(file_schema(), indent=2))


@_app.command()
def version() -> None:
    """Print the version."""
    typer.echo(version_of("busbridge"))


def _load(files: list[Path] | None) -> Config:
    if not files and not _DEFAULT.exists():
        raise typer.BadParameter(f"there is no {_DEFAULT} in {Path.cwd()}: name a file with -c")
    return load(*(files or [_DEFAULT]))


def _made_up(services: list[Service[Any]]) -> Config:
    document = made_up(services)
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
    typer.echo(f"# no {_DEFAULT}: running with this one, in memory\n{text}", nl=False)
    return load(document)


def _joined_faults(services: list[Service[Any]], config: Config, transports: Transports) -> list[Fault]:
    found = (fault for service in services for fault in faults(service, config, transports))
    return list(dict.fromkeys(found))
