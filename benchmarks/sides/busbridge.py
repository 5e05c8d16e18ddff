"""busbridge, as a user writes it, on any of its transports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.job import paced
from benchmarks.orders import OrderPlaced, orders
from benchmarks.places import configuration
from benchmarks.works import IN_FLIGHT
from busbridge import Bus, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Job, Tally


def _publishing(job: Job) -> Bus[Any]:
    return Bus(Service(job.place, publishes=[OrderPlaced]), configuration(job.url, job.place, consume=False))


def _consuming(job: Job, tally: Tally) -> Bus[Any]:
    service = Service(job.place, publishes=[OrderPlaced])
    service.subscription("orders").handles(OrderPlaced)(tally.handle)
    return Bus(service, configuration(job.url, job.place))


async def publish_many(job: Job) -> None:
    async with _publishing(job) as bus:
        await bus.publish_many(orders(job.warm_up))
        job.meter.start()
        await bus.publish_many(orders(job.count))
        job.meter.stop()


async def publish(job: Job) -> None:
    async with _publishing(job) as bus:
        await _publish_concurrently(bus, orders(job.warm_up))
        job.meter.start()
        await _publish_concurrently(bus, orders(job.count))
        job.meter.stop()


async def _publish_concurrently(bus: Bus[Any], batch: Iterator[OrderPlaced]) -> None:
    async def work() -> None:
        for order in batch:
            await bus.publish(order)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def publish_paced(job: Job) -> None:
    async with _publishing(job) as bus, asyncio.TaskGroup() as group:
        async for order in paced(job):
            group.create_task(bus.publish(order))


async def consume(job: Job, tally: Tally) -> None:
    async with _consuming(job, tally):
        await tally.finished.wait()


async def pipeline(job: Job) -> None:
    """Publishing and handling in one process, over the in-memory transport."""
    tally = job.tally()
    async with _consuming(job, tally) as bus:
        await bus.publish_many(orders(job.total))
        await tally.finished.wait()
