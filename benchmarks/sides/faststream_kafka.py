"""FastStream over confluent-kafka, in its fastest configuration that loses nothing.

Logging off, idempotent producer, `acks=all`. Publishing many: `no_confirm=True` hands out the future of the delivery
report, so that a thousand are in flight before all are awaited and checked; its `publish_batch` can't give each message
headers of its own. Consuming: a handler for each message with `NACK_ON_ERROR`, which commits what is handled. Its
`batch=True` hands a list to one call and commits it as a whole: another kind of work, shown as `faststream batch`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faststream import AckPolicy
from faststream.confluent import KafkaBroker

from benchmarks.job import paced
from benchmarks.orders import Envelopes, OrderPlaced, orders
from benchmarks.works import IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.job import Job, Tally

_OPTIONS: dict[str, Any] = {"auto_offset_reset": "earliest", "ack_policy": AckPolicy.NACK_ON_ERROR}


def _broker(job: Job) -> KafkaBroker:
    return KafkaBroker(
        job.servers,
        acks="all",
        enable_idempotence=True,
        linger_ms=1 if job.rate else 5,
        allow_auto_create_topics=False,
        logger=None,
        config={"fetch.queue.backoff.ms": 10},  # type: ignore[typeddict-unknown-key,unused-ignore]
    )


class _Publisher:
    def __init__(self, broker: KafkaBroker, place: str) -> None:
        self._publish = broker.publish
        self._place = place
        self._headers = Envelopes("ce_", "bench").headers

    async def publish(self, order: OrderPlaced) -> None:
        await self._publish(order, **self._options(order))

    async def publish_many(self, batch: Iterator[OrderPlaced]) -> None:
        flights: list[asyncio.Future[object]] = []
        for order in batch:
            flights.append(await self._publish(order, no_confirm=True, **self._options(order)))
            if len(flights) == IN_FLIGHT:
                await asyncio.gather(*flights)
                flights.clear()
        await asyncio.gather(*flights)

    async def publish_concurrently(self, batch: Iterator[OrderPlaced]) -> None:
        async def work() -> None:
            for order in batch:
                await self.publish(order)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    def _options(self, order: OrderPlaced) -> dict[str, Any]:
        headers = dict(self._headers(order)[1:])  # it adds the content type itself
        key = order.customer_id.encode()
        return {"topic": self._place, "key": key, "headers": headers, "correlation_id": order.order_id}


async def publish_many(job: Job) -> None:
    async with _broker(job) as broker:
        publisher = _Publisher(broker, job.place)
        await publisher.publish_many(orders(job.warm_up))
        job.meter.start()
        await publisher.publish_many(orders(job.count))
        job.meter.stop()


async def publish(job: Job) -> None:
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

    @broker.subscriber(job.place, group_id=job.place, **_OPTIONS)
    async def handle(order: OrderPlaced) -> None:
        await tally.handle(order)

    await _run(broker, tally)


async def consume_batch(job: Job, tally: Tally) -> None:
    broker = _broker(job)

    @broker.subscriber(job.place, group_id=job.place, batch=True, max_records=500, **_OPTIONS)
    async def handle(batch: list[OrderPlaced]) -> None:
        for order in batch:
            await tally.handle(order)

    await _run(broker, tally)


async def _run(broker: KafkaBroker, tally: Tally) -> None:
    async with broker:
        await broker.start()
        await tally.finished.wait()
        await asyncio.sleep(0.5)  # it commits behind each message, without waiting
