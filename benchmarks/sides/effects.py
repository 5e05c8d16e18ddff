"""busbridge with a store, as a user writes it: a row and a message for each message, each once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.databases import count
from benchmarks.orders import OrderBooked, OrderPlaced
from benchmarks.places import configuration
from busbridge import Bus, Context, Service

if TYPE_CHECKING:
    from benchmarks.job import Job, Tally


class _Base(DeclarativeBase): ...


class _Effect(_Base):
    __tablename__ = "effects"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    total_cents: Mapped[int]


def _service(job: Job, tally: Tally) -> Service[None]:
    service = Service(job.place, publishes=[OrderBooked])

    @service.subscription("orders").handles(OrderPlaced)
    async def book(order: OrderPlaced, context: Context) -> None:
        row = _Effect(order_id=order.order_id, customer_id=order.customer_id, total_cents=order.total_cents)
        context.session.add(row)
        context.publish(OrderBooked(**vars(order)))
        await tally.handle(order)

    return service


def _configuration(job: Job) -> dict[str, Any]:
    config = configuration(job.url, job.place)
    config["destinations"]["booked"] = {**config["destinations"]["orders"], "name": f"{job.place}.booked"}
    config["routes"]["bench.order-booked"] = {"to": "booked"}
    config["services"][job.place]["store"] = {"url": job.database, "upgrade": True}
    return config


async def once(job: Job, tally: Tally) -> None:
    """From the last message of the warm-up until every effect is committed and every message of it confirmed."""
    async with Bus(_service(job, tally), _configuration(job)):
        await tally.finished.wait()
        while not await _done(job):  # noqa: ASYNC110 - a database's state has no event
            await asyncio.sleep(0.005)
        job.meter.stop()


async def _done(job: Job) -> bool:
    return await count(job.database, "effects") == job.total and not await count(job.database, "busbridge_outbox")
