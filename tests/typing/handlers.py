"""What the type checkers must accept, and what they must refuse. Checked, never run.

Each refused line has an ignore of the very error; one that is not needed is an error itself, so that a wrong handler
that passed would be seen.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busbridge import BlockingBus, Bus, Context, Contract, Reject, Retry, Service
from busbridge.testing import RecordingContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


class Cancelled(Contract, name="shop.cancelled", version=1, key="order_id"):
    order_id: str


class Packed(Contract, name="shop.packed", version=1):
    order_id: str


class Shipped(Contract, name="shop.shipped", version=1):
    order_id: str


class Returned(Contract, name="shop.returned", version=1):
    order_id: str


class Refunded(Contract, name="shop.refunded", version=1):
    order_id: str


class Shelves:
    async def take(self, order_id: str) -> None: ...


@asynccontextmanager
async def shelves() -> AsyncGenerator[Shelves]:
    yield Shelves()


plain = Service("plain", publishes=[Placed])
stock = Service("stock", lifespan=shelves)
reserve = stock.subscription("reserve")


@reserve.handles(Placed)
async def takes_message(order: Placed) -> None:
    order.order_id.upper()


@reserve.handles(Placed)
async def takes_context(order: Placed, context: Context[Shelves]) -> None:
    await context.resources.take(order.order_id)
    context.publish(Cancelled(order_id=order.order_id))


@reserve.handles(Placed)
def takes_message_in_a_thread(order: Placed) -> None:
    order.order_id.upper()


@reserve.handles(Placed, Cancelled, when=lambda message: message.order_id != "", fatal=(LookupError,))
async def takes_two(message: Placed | Cancelled, context: Context[Shelves]) -> None:
    await context.resources.take(message.order_id)


@reserve.handles(Placed, Cancelled, Packed, Shipped, Returned, when=lambda message: message.order_id != "")
async def takes_five(message: Placed | Cancelled | Packed | Shipped | Returned, context: Context[Shelves]) -> None:
    await context.resources.take(message.order_id)


@reserve.handles(Placed, Cancelled, Packed, Shipped, Returned, Refunded)
def takes_six(message: Contract) -> None: ...


@reserve.handles(Placed, retry_on=OSError, discard={"empty": lambda order: order.order_id == ""})
async def says_how_it_fails(order: Placed) -> None:
    raise Retry(after=30) if order.order_id else Reject("no order")


@plain.subscription("watch").handles(Placed)
async def without_resources(order: Placed, context: Context[None]) -> None:
    assert context.resources is None


async def calls_them() -> None:
    """The decorated function stays the function."""
    await takes_message(Placed(order_id="1"))
    await takes_context(Placed(order_id="1"), RecordingContext(resources=Shelves()))
    takes_message_in_a_thread(Placed(order_id="1"))
    async with Bus(stock, "busbridge.yaml") as bus:
        message_id: str = await bus.publish(Placed(order_id="1"))
        ids: list[str] = await bus.publish_many([Placed(order_id=message_id)])
        ids.sort()
    with BlockingBus(plain) as blocking:
        blocking.publish(Placed(order_id="1"))


@reserve.handles(Placed)  # type: ignore[arg-type]
async def wrong_contract(order: Cancelled) -> None: ...


@reserve.handles(Placed, Cancelled)  # type: ignore[arg-type]
async def half_of_the_contracts(order: Placed) -> None: ...


@reserve.handles(Placed)  # type: ignore[arg-type]
async def wrong_resources(order: Placed, context: Context[int]) -> None: ...


@reserve.handles(Placed)  # type: ignore[arg-type]
def forgotten_async(order: Placed, context: Context[Shelves]) -> str:
    return order.order_id


@reserve.handles(Placed, discard={"empty": lambda order: order.customer_id})  # type: ignore[attr-defined]
async def a_rule_for_another_contract(order: Placed) -> None: ...


@reserve.handles(Placed, Cancelled, Packed, Shipped, str)  # type: ignore[arg-type]
def no_contract_among_five(message: Contract) -> None: ...


async def publishes_what_is_no_contract(bus: Bus[None]) -> None:
    await bus.publish({"order_id": "1"})  # type: ignore[arg-type]
    await bus.publish(Placed(order_id=1))  # type: ignore[arg-type]
