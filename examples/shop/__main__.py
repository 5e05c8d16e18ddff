"""`python -m examples.shop`: runs the shop and checks its books."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler

from busbridge import BusbridgeError, load
from busbridge.routing import namespaced
from busbridge.runtime import InstalledTransports, MemoryTransports, remove
from examples.shop.demo.audit import differences
from examples.shop.demo.books import end_where_wrong, own_databases
from examples.shop.demo.orders import purchases, read_orders
from examples.shop.demo.run import run
from examples.shop.demo.screen import remarks_on, table_of
from examples.shop.demo.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge import Config
    from busbridge.runtime import Transports
    from examples.shop.order import Order

CONFIG: Final = Path(__file__).parent / "busbridge.yaml"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    brokers: Annotated[
        bool | None,
        typer.Option("--brokers/--memory", help="Real brokers (RABBITMQ_URL, KAFKA_URL), or none. [memory]"),
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Laid over the shop's busbridge.yaml; implies --brokers.")
    ] = None,
    orders: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Orders of your own, CSV or JSON Lines. Columns: see README.md.")
    ] = None,
    patience: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="How long each phase may take.")] = 120,
) -> None:
    """Run the shop: 6,919 orders through seven services, in memory or on real brokers. Its books are checked."""
    console = Console(highlight=False)
    try:
        placed = purchases() if orders is None else read_orders(orders)
        real = bool(config) if brokers is None else brokers
        transports = InstalledTransports() if real else MemoryTransports()
        with own_databases():
            wrong = _demonstrate(console, placed, load(CONFIG, *(config or ())), transports, patience)
    except BusbridgeError as error:
        sys.exit(str(error))
    end_where_wrong(wrong)
    console.print(f"The books balance. Orders: {len(placed):,}, every copy delivered, replay equal to the live result.")


def _demonstrate(
    console: Console, orders: Sequence[Order], config: Config, transports: Transports, patience: float
) -> list[str]:
    """Runs the shop before the user's eyes; returns what is wrong with its books."""
    # Names of its own, so that what is on the brokers is neither read nor removed.
    config = namespaced(config, f"shop-{secrets.token_hex(3)}.")
    tally = Tally()
    _show_warnings(console)
    try:
        with Live(console=console, get_renderable=lambda: table_of(tally), transient=True):
            asyncio.run(_run_and_remove(orders, config, transports, tally, patience))
    finally:
        console.print(table_of(tally), *remarks_on(tally), sep="\n")
    return differences(orders)


async def _run_and_remove(
    orders: Sequence[Order], config: Config, transports: Transports, tally: Tally, patience: float
) -> None:
    """Leaves nothing on the brokers, however it ends."""
    try:
        await run(orders, config, transports, tally, patience=patience)
    finally:
        await remove(config, transports, config.transports)


def _show_warnings(console: Console) -> None:
    """Those of busbridge, but for the retries: lost answers of the gateway are part of the show."""
    handler = RichHandler(console=console, show_time=False, show_path=False)
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s", handlers=[handler])
    logging.getLogger("busbridge").setLevel(logging.WARNING)
    logging.getLogger("busbridge.handling").setLevel(logging.ERROR)


if __name__ == "__main__":
    app()
