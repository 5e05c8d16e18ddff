"""One process of the shop, to be killed: `python -m examples.shop.demo.chaos.worker FOLDER SERVICE NAMESPACE FILE..."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from busbridge import Bus, load
from busbridge.routing import namespaced
from examples.shop.analytics import analytics
from examples.shop.billing import billing
from examples.shop.checkout import checkout, place_next
from examples.shop.demo.chaos.files import JOURNAL, ORDERS, serving_mark
from examples.shop.demo.chaos.journal import Journal
from examples.shop.demo.orders import read_orders
from examples.shop.inventory import inventory
from examples.shop.loyalty import loyalty
from examples.shop.notification import notification
from examples.shop.order_processor import order_processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge import Config, Service
    from examples.shop.order import Order

_PAUSE: Final = 1.0
_AT_ONCE: Final = 60

_SERVICES: Final[dict[str, Service[Any]]] = {
    each.name: each for each in (checkout, order_processor, inventory, billing, notification, analytics, loyalty)
}


async def work(folder: Path, name: str, config: Config) -> None:
    """Serves until SIGTERM; checkout places its orders beside."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Bus(_SERVICES[name], config, observer=Journal(folder / JOURNAL)) as bus, asyncio.TaskGroup() as group:
        serving_mark(folder, os.getpid()).touch()
        tasks = [group.create_task(bus.serve())]
        if name == checkout.name:
            tasks.append(group.create_task(_place(read_orders(folder / ORDERS), bus)))
        await stop.wait()
        for each in tasks:
            each.cancel()


async def _place(orders: Sequence[Order], bus: Bus[Any]) -> None:
    """Goes on where the process before this one was killed."""
    while await place_next(orders, bus, _AT_ONCE) < len(orders):  # noqa: ASYNC110 - customers come at their own pace
        await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], namespaced(load(*sys.argv[4:]), sys.argv[3])))
