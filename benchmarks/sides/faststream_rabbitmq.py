"""FastStream over aio-pika, in its fastest configuration that loses nothing.

Logging off; persistent, mandatory, a returned message raises, every publish awaits its confirm, a thousand at a time
(RabbitMQ has no batch publishing in it). Consuming: a bounded prefetch, `NACK_ON_ERROR`, which acks what is handled.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from benchmarks.job import paced
from benchmarks.orders import Envelopes, OrderPlaced, orders
from benchmarks.works import IN_FLIGHT, PREFETCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Job, Tally


def _broker(job: Job) -> RabbitBroker:
    return RabbitBroker(
        job.url, default_channel=Channel(prefetch_count=PREFETCH, on_return_raises=True), logger=None
    )  # fmt: skip


class _Publisher:
    def __init__(self, broker: RabbitBroker, place: str) -> None:
        self._publish = broker.publish
        self._place = place
        self._headers = Envelopes("ce-", "bench").headers

    async def publish(self, order: OrderPlaced) -> None:
        headers: dict[str, Any] = dict(self._headers(order)[1:])  # it adds the content type itself
        await self._publish(
            order, self._place, persist=True, mandatory=True, headers=headers, correlation_id=order.order_id
        )

    async def publish_concurrently(self, batch: Iterator[OrderPlaced]) -> None:
        async def work() -> None:
            for order in batch:
                await self.publish(order)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def publish_many(job: Job) -> None:
    async with _broker(job) as broker:
        publisher = _Publisher(broker, job.place)
        await publisher.publish_concurrently(orders(job.warm_up))
        job.meter.start()
        await publisher.publish_concurrently(orders(job.count))
        job.meter.stop()


async def publish_paced(job: Job) -> None:
    async with _broker(job) as broker:
        publisher = _Publisher(broker, job.place)
        async with asyncio.TaskGroup() as group:
            async for order in paced(job):
                group.create_task(publisher.publish(order))


async def consume(job: Job, tally: Tally) -> None:
    broker = _broker(job)

    @broker.subscriber(RabbitQueue(job.place, declare=False), ack_policy=AckPolicy.NACK_ON_ERROR)
    async def handle(order: OrderPlaced) -> None:
        await tally.handle(order)

    async with broker:
        await broker.start()
        await tally.finished.wait()
        await asyncio.sleep(0.5)  # the acks behind the last handlers
