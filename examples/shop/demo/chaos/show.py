"""The run under fire before a user's eyes."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from busbridge import Bus, TransportError, load
from busbridge.routing import namespaced
from busbridge.runtime import InstalledTransports, remove
from examples.shop.demo.audit import differences, double_charges, repeated_charges
from examples.shop.demo.chaos.run import run_under_fire
from examples.shop.loyalty import loyalty, rebuild

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from busbridge import Config
    from examples.shop.demo.chaos.run import Aftermath, Storm
    from examples.shop.order import Order


_NOTICED_WITHIN: Final = 30.0


def show_chaos(
    console: Console, orders: Sequence[Order], files: Sequence[Path], storm: Storm, patience: float
) -> list[str]:
    """Runs the shop while its processes are killed; returns what is wrong with its books.

    Leaves nothing on the brokers. Raises as `run_under_fire`.
    """
    namespace = f"shop-{secrets.token_hex(3)}."
    config = namespaced(load(*files), namespace)
    console.print(f"{len(orders):,} orders; {storm.seconds:g} s of kills, seed {storm.seed}")
    try:
        after = run_under_fire(orders, namespace, files, storm, patience, console.print)
        asyncio.run(_rebuild(config))
    finally:
        asyncio.run(_remove(config))
    console.print(*_told(after), sep="\n")
    return differences(orders)


async def _remove(config: Config) -> None:
    """Waits until Kafka has noticed who was killed: before, their groups are not empty."""
    async with asyncio.timeout(_NOTICED_WITHIN):
        while True:
            try:
                return await remove(config, InstalledTransports(), config.transports)
            except TransportError:
                await asyncio.sleep(1)


async def _rebuild(config: Config) -> None:
    async with Bus(loyalty, config, consume=False) as bus:
        await rebuild(bus)


def _told(after: Aftermath) -> list[str]:
    killed = ", ".join(f"{name} {count}" for name, count in sorted(after.killed.items()))
    entries = after.entries
    return [
        f"Processes killed: {after.killed.total()} ({killed}).",
        f"Brokers restarted: {after.restarted}. All in {after.seconds:.0f} s.",
        f"Deliveries: {entries.deliveries:,}. Handed over again by the broker: {entries.again:,}.",
        f"Known to an inbox, and not handled again: {entries.of('duplicate'):,}. Dead letters: {entries.of('dead')}.",
        f"The gateway was asked for {repeated_charges():,} charges again. Double charges: {double_charges()}.",
    ]
