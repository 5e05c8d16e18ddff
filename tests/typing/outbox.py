"""The outbox outside of handlers, for the type checkers: never run. Each `type: ignore` is an error they must find."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from busbridge import Contract

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

    from busbridge import BlockingBus, Bus
    from busbridge.runtime.publishing._django import DjangoConnection


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


async def in_a_transaction(bus: Bus[None], session: AsyncSession) -> None:
    async with bus.transaction() as tx:
        connection: AsyncConnection = tx.connection
        own: AsyncSession = tx.session
        later: str = tx.publish(Placed(order_id="2"), delay=timedelta(hours=1))
        cancelled: bool = await tx.cancel(later)
        tx.publish(Placed(order_id=f"{cancelled}"), delay="1h")  # type: ignore[arg-type]
        message_id: str = tx.publish(Placed(order_id="1"), headers={"tenant": "north"})
        await tx.publish(Placed(order_id=message_id))  # type: ignore[misc]
        tx.publish({"order_id": "1"})  # type: ignore[arg-type]
    async with bus.outbox(session) as mine:
        mine.publish(Placed(order_id=f"{connection} {own}"))


def blocking(bus: Bus[None], other: BlockingBus, session: Session) -> None:
    with bus.outbox(session) as tx:
        tx.publish(Placed(order_id="1"))
    with other.outbox(session) as tx:
        tx.cancel(tx.publish(Placed(order_id="1")))
    with other.transaction() as tx:
        tx.publish(Placed(order_id="1"))


def in_django(bus: Bus[None], other: BlockingBus, connection: DjangoConnection) -> None:
    with bus.outbox(connection) as tx:
        tx.publish(Placed(order_id="1"))
    with other.outbox(connection) as tx:
        tx.publish(Placed(order_id="1"))


async def wrong(bus: Bus[None], other: BlockingBus, session: AsyncSession) -> None:
    with bus.outbox(session):  # type: ignore[attr-defined]
        pass
    other.outbox(session)  # type: ignore[arg-type]
    other.outbox("default")  # type: ignore[arg-type]
