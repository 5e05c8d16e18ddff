"""`python -m examples.shop.demo.chaos`: runs the shop on brokers while its processes are killed. Checks its books."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from busbridge import BusbridgeError
from examples.shop.demo.books import end_where_wrong, own_databases
from examples.shop.demo.chaos.run import Storm
from examples.shop.demo.chaos.show import show_chaos
from examples.shop.demo.orders import purchases, read_orders

_SHOP: Final = Path(__file__).parents[2]
_FILES: Final = (_SHOP / "busbridge.yaml", _SHOP / "stores.yaml")
_PLACED: Final = 3_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Laid over the shop's two files.")] = None,
    orders: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Orders of your own. [the first 3,000 purchases]")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="How long processes are killed.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Who is killed when. [a new one]")] = None,
    restart: Annotated[
        list[str] | None, typer.Option(metavar="COMMAND", help="A command that restarts a broker meanwhile.")
    ] = None,
    patience: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="How long the rest may take.")] = 180,
) -> None:
    """Run the shop on RabbitMQ and Kafka (RABBITMQ_URL, KAFKA_URL), each service a process, killed at random."""
    console = Console(highlight=False, soft_wrap=True)
    storm = Storm(secrets.randbelow(10**6) if seed is None else seed, seconds, restart or ())
    try:
        placed = purchases()[:_PLACED] if orders is None else read_orders(orders)
        with own_databases():
            wrong = show_chaos(console, placed, (*_FILES, *(config or ())), storm, patience)
    except BusbridgeError as error:
        sys.exit(str(error))
    end_where_wrong(wrong)
    console.print("The books balance.")


if __name__ == "__main__":
    app()
