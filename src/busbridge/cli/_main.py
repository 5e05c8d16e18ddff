"""The commands and their options. Exit codes: 0 fine, 1 faults, 2 wrong usage."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from busbridge.cli import _dead_main
from busbridge.errors import BusbridgeError

_app = typer.Typer(
    name="busbridge",
    help="Services over RabbitMQ and Kafka: run them, check and show what goes where.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_store = typer.Typer(
    help="The tables of the services' stores: bring them up to date, check them.", no_args_is_help=True
)
_app.add_typer(_store, name="store")
_app.add_typer(_dead_main.app, name="dead")

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


def _print_version(asked: bool) -> None:  # noqa: FBT001 - how typer calls it
    if asked:
        version()
        raise typer.Exit


@_app.callback()
def _options(
    _version: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@_app.command()
def run(
    targets: Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE...", help=_SERVICES_HELP)],
    config: _Files = None,
    memory: Annotated[bool, typer.Option("--memory", help="In memory instead of on brokers; needs no file.")] = False,  # noqa: FBT002
    no_relay: Annotated[bool, typer.Option("--no-relay", help="Leave the outbox to `busbridge relay`.")] = False,  # noqa: FBT002
) -> None:
    """Run services until SIGTERM or SIGINT, then stop gracefully."""
    from busbridge.cli import _commands

    _commands.run(targets, config or (), memory=memory, relaying=not no_relay)


@_app.command()
def relay(
    targets: Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE...", help=_SERVICES_HELP)],
    config: _Files = None,
) -> None:
    """Publish what is in the services' outboxes, and nothing else, until SIGTERM or SIGINT. Several share the work."""
    from busbridge.cli import _commands

    _commands.relay_alone(targets, config or ())


@_app.command()
def replay(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:SERVICE.SUBSCRIPTION", help="As shop.loyalty:loyalty.award-points.")
    ],
    start: Annotated[str, typer.Option("--from", metavar="TIME|OFFSET|earliest", help="Where it starts.")] = "earliest",
    until: Annotated[str, typer.Option("--until", metavar="TIME|now", help="Where it ends.")] = "now",
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Go on with a run; needs a store.")] = None,
    publish: Annotated[
        str | None, typer.Option("--publish", metavar="refuse|send|drop", help="What handlers publish. [refuse]")
    ] = None,
    config: _Files = None,
) -> None:
    """Hand a stream once more to the handlers of a subscription, as a run of its own, beside the subscription."""
    from busbridge.cli import _commands

    _commands.replay(target, config or (), start, until, run, publish)


@_app.command()
def check(targets: _Targets = None, config: _Files = None) -> None:
    """Tell every fault of the configuration, and of services joined with it, without connecting."""
    from busbridge.cli import _commands

    _commands.check(targets or (), config or ())


@_app.command()
def show(targets: _Targets = None, config: _Files = None) -> None:
    """List contract, destination, subscription and, of the services given, handler."""
    from busbridge.cli import _commands

    _commands.show(targets or (), config or ())


@_store.command("upgrade")
def upgrade_store(targets: _Targets = None, config: _Files = None) -> None:
    """Create the tables or bring them to this version. Safe to run in several places at once."""
    from busbridge.cli import _commands

    _commands.upgrade_store(targets or (), config or ())


@_store.command("timers")
def store_timers(targets: _Targets = None, config: _Files = None) -> None:
    """List what waits until it is due, by handler; of services given, what no handler of theirs takes any more."""
    from busbridge.cli import _commands

    _commands.store_timers(targets or (), config or ())


@_store.command("outbox")
def store_outbox(targets: _Targets = None, config: _Files = None) -> None:
    """Tell how much waits in the outboxes, for how long, and whether that is more than may. Reads all of them."""
    from busbridge.cli import _commands

    _commands.store_outbox(targets or (), config or ())


@_store.command("parked")
def store_parked(
    targets: _Targets = None,
    config: _Files = None,
    release: Annotated[
        list[str] | None, typer.Option("--release", metavar="ID|all", help="Publish it again; repeated for several.")
    ] = None,
    discard: Annotated[
        list[str] | None, typer.Option("--discard", metavar="ID", help="Forget it for good; repeated for several.")
    ] = None,
) -> None:
    """List what brokers refused of the outboxes for good, and decide about it. It holds later messages of its key."""
    from busbridge.cli import _commands

    _commands.store_parked(targets or (), config or (), release or (), discard or ())


@_store.command("check")
def check_store(targets: _Targets = None, config: _Files = None) -> None:
    """Tell the version of the tables, and whether this version works with it. Changes nothing."""
    from busbridge.cli import _commands

    _commands.check_store(targets or (), config or ())


@_app.command()
def contracts(
    targets: Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE...", help=_SERVICES_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The catalog's folder.")] = Path("contracts"),
    config: _Files = None,
) -> None:
    """Write the contracts of services to the catalog, as JSON Schema: a file for each version, older ones kept.

    A version whose schema is another now is told on stderr.
    """
    from busbridge.cli import _commands

    _commands.contracts(targets, output, config or ())


@_app.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file, so that editors complete it."""
    from busbridge.cli import _commands

    _commands.schema()


@_app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(version_of("busbridge"))
