"""A run of the shop: everybody at work while customers order; then loyalty, which came later, and does it twice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from busbridge import Bus
from examples.shop.analytics import analytics
from examples.shop.billing import billing
from examples.shop.checkout import checkout, place
from examples.shop.inventory import inventory
from examples.shop.loyalty import loyalty, rebuild
from examples.shop.notification import notification
from examples.shop.order_processor import order_processor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from busbridge import Config, Service
    from busbridge.runtime import Transports
    from examples.shop.demo.tally import Tally
    from examples.shop.order import Order

WORKERS: Final = 3
"""Order processors that share the queue."""


async def run(
    orders: Sequence[Order], config: Config, transports: Transports, tally: Tally, *, patience: float
) -> None:
    """Places all orders, waits until everything that follows from them is done, then does the same for loyalty.

    In the end loyalty reads the stream once more, without its subscription.

    Raises PublishError; Incomplete when a phase takes more than `patience` seconds, TimeoutError when reading does;
    whatever keeps a bus from opening or stops a subscription.
    """
    consumers: list[Service[Any]] = [inventory, billing, notification, analytics, *[order_processor] * WORKERS]
    tally.expect(_expected(orders))
    async with _serving(consumers, config, transports, tally), Bus(checkout, config, transports=transports) as bus:
        with tally.placing(orders):
            await place(orders, bus)
        await tally.complete(patience)
    tally.expect({"loyalty.points": len(orders)})
    async with _serving([loyalty], config, transports, tally):
        await tally.complete(patience)
    async with asyncio.timeout(patience), Bus(loyalty, config, consume=False, transports=transports) as bus:
        tally.rebuilt = f"Loyalty read all {await rebuild(bus):,} orders once more, without its subscription."


def _expected(orders: Sequence[Order]) -> dict[str, int]:
    """By subscription, the messages that it must get while customers order."""
    placed = len(orders)
    declined = sum(order.total_cents == 0 for order in orders)
    return {
        "order-processor.orders": placed,
        "inventory.stock": placed + declined,
        "billing.invoices": placed + placed,
        "notification.mails": placed + declined,
        "analytics.revenue": placed,
    }


@asynccontextmanager
async def _serving(
    services: Iterable[Service[Any]], config: Config, transports: Transports, tally: Tally
) -> AsyncGenerator[None]:
    """A bus for each; one whose subscription can't go on interrupts the block, and its error is raised."""
    buses = [Bus(service, config, transports=transports, observer=tally) for service in services]
    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for bus in buses:
                await stack.enter_async_context(bus)
            watching = [group.create_task(bus.serve()) for bus in buses]
            yield
            for each in watching:
                each.cancel()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    finally:
        tally.close(buses)
