"""confluent-kafka by hand, as one who knows it well would write it for this very work.

Publishing: a synchronous loop over an idempotent producer; every delivery report is checked; a full queue is waited
for. Consuming: one synchronous loop that takes up to 500 at a time; headers decoded, the model found by type and
schema, the body validated, the handler awaited; the position committed behind the handlers twice a second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, Producer

from benchmarks.job import paced
from benchmarks.orders import MODELS, Envelopes, encoded, orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import KafkaError, Message

    from benchmarks.job import Job, Tally
    from benchmarks.orders import OrderPlaced

FETCH = 500
COMMIT_SECONDS = 0.5
_POLL_EVERY = 500


class _Publisher:
    def __init__(self, job: Job) -> None:
        self._producer = Producer({
            "bootstrap.servers": job.servers,
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger.ms": 1 if job.rate else 5,
        })  # fmt: skip
        self._place = job.place
        self._headers = Envelopes("ce_", "bench").headers
        self._confirmed = 0

    def publish(self, order: OrderPlaced) -> None:
        body, key, headers = encoded(order), order.customer_id, self._headers(order)
        while True:
            try:
                self._producer.produce(self._place, body, key, headers=headers, on_delivery=self._reported)
                return
            except BufferError:
                self._producer.poll(0.1)

    def publish_all(self, batch: Iterable[OrderPlaced]) -> None:
        for number, order in enumerate(batch):
            self.publish(order)
            if number % _POLL_EVERY == 0:
                self._producer.poll(0)
        self._producer.flush()

    def poll(self) -> None:
        self._producer.poll(0)

    def check(self, expected: int) -> None:
        self._producer.flush()
        assert self._confirmed == expected, f"{self._confirmed} of {expected} are confirmed"

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        self._confirmed += 1


async def publish_many(job: Job) -> None:
    publisher = _Publisher(job)
    publisher.publish_all(orders(job.warm_up))
    job.meter.start()
    publisher.publish_all(orders(job.count))
    job.meter.stop()
    publisher.check(job.total)


async def publish_paced(job: Job) -> None:
    publisher = _Publisher(job)
    async for order in paced(job):
        publisher.publish(order)
        publisher.poll()
    publisher.check(job.total)


def settings(job: Job) -> dict[str, str | int | bool]:
    """How every side written by hand consumes."""
    return {
        "bootstrap.servers": job.servers,
        "group.id": job.place,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "fetch.queue.backoff.ms": 10,
    }


async def consume(job: Job, tally: Tally) -> None:
    consumer = Consumer(settings(job))
    consumer.subscribe([job.place])
    committed = time.monotonic()
    while not tally.finished.is_set():
        first = consumer.consume(1, 0.1)
        for message in first + consumer.consume(FETCH - 1, 0) if first else ():
            await handle(message, tally)
        if time.monotonic() - committed > COMMIT_SECONDS and tally.handled:
            consumer.commit(asynchronous=True)
            committed = time.monotonic()
    consumer.commit(asynchronous=False)
    consumer.close()


async def handle(message: Message, tally: Tally) -> None:
    """What every side written by hand does with a message."""
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    headers = dict(message.headers())
    model = MODELS[headers["ce_type"].decode(), headers["ce_dataschema"].decode()]
    await tally.handle(model.model_validate_json(message.value()))
