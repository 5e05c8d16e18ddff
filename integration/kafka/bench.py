"""What the tests of the Kafka transport share: names of their own, a transport that is closed, Kafka topics that go."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager, closing
from dataclasses import replace

from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from busbridge.routing import Destination, Kind, SubscriptionPlan, Topology, TransportSettings
from busbridge.transport import Entry, Status
from busbridge_kafka import KafkaTransport
from busbridge_kafka._commits import UNTOUCHED

SECONDS = 30


class Bench:
    """One stream and one subscription of it, on transports as a test asks for them."""

    def __init__(self, broker, *, partitions=4, transport=KafkaTransport, client=None, **plan):
        self.broker = broker
        self.run = f"kafka-{uuid.uuid4().hex[:8]}"
        self.settings = TransportSettings("kafka", broker.url, client=client or {})
        self.stream = Destination("log", Kind.STREAM, "kafka", f"{self.run}-log", partitions=partitions)
        self.plan = SubscriptionPlan(self.run, "reader", self.stream, **plan)
        self._transport = transport
        self._admin = broker.admin()

    @asynccontextmanager
    async def open(self, **changes):
        """A transport of its own, open, with the topology provisioned."""
        transport = self._transport(replace(self.settings, **changes))
        await transport.open()
        try:
            await transport.provision(Topology((self.stream,), (self.plan,)))
            yield transport
        finally:
            await transport.close()

    async def write(self, transport, *bodies, key="key", headers=()):
        """Publishes and expects every confirm; returns the positions."""
        entries = [Entry(self.stream, body, list(headers), key) for body in bodies]
        outcomes = await transport.publish(entries, SECONDS)
        assert all(each.status is Status.CONFIRMED for each in outcomes), outcomes
        return [each.position for each in outcomes]

    def committed(self, *partitions):
        """The committed offset of each partition, as the broker has it; below 0: none."""
        with closing(self.broker.consumer(self.plan.group, enable_auto_commit=False)) as consumer:
            asked = [TopicPartition(self.stream.physical, each) for each in partitions]
            return [each.offset for each in consumer.committed(asked, timeout=10)]

    def touched(self, partition):
        """Whether messages behind the committed position may have begun, as the broker has it."""
        with closing(self.broker.consumer(self.plan.group, enable_auto_commit=False)) as consumer:
            (found,) = consumer.committed([TopicPartition(self.stream.physical, partition)], timeout=10)
            return found.metadata != UNTOUCHED

    def members(self):
        """How many the group has, as the broker knows."""
        (description,) = self._admin.describe_consumer_groups([self.plan.group]).values()
        return len(description.result(SECONDS).members)

    def commit(self, partition, offset):
        """Sets the group's position by hand."""
        with closing(self.broker.consumer(self.plan.group, enable_auto_commit=False)) as consumer:
            consumer.commit(offsets=[TopicPartition(self.stream.physical, partition, offset)], asynchronous=False)

    def cut(self, partition, offset):
        """Removes everything below `offset` from the log, as retention does."""
        where = TopicPartition(self.stream.physical, partition, offset)
        for future in self._admin.delete_records([where]).values():
            future.result(SECONDS)

    def read(self, kafka_topic, count):
        """The first messages of a Kafka topic, by a bare consumer."""
        with closing(self.broker.consumer(f"{self.run}-bare", enable_auto_commit=False)) as consumer:
            consumer.subscribe([kafka_topic])
            found = []
            while len(found) < count:
                messages = consumer.consume(count - len(found), timeout=SECONDS)
                assert messages, f"{count - len(found)} messages are missing"
                found += messages
            return found

    def grow(self, partitions):
        """Adds partitions to the stream."""
        futures = self._admin.create_partitions([NewPartitions(self.stream.physical, partitions)])
        futures[self.stream.physical].result(SECONDS)
        self.stream = replace(self.stream, partitions=partitions)

    def delete(self, *kafka_topics):
        """Deletes Kafka topics, and waits until the broker knows them no more; that one is not there is fine."""
        for future in self._admin.delete_topics(list(kafka_topics)).values():
            future.exception(SECONDS)
        deadline = time.monotonic() + SECONDS
        while known := self._admin.list_topics(timeout=SECONDS).topics.keys() & set(kafka_topics):
            assert time.monotonic() < deadline, f"the broker still knows {known}"
            time.sleep(0.02)

    def remove(self):
        """Deletes what was provisioned."""
        self.delete(self.stream.physical, self.plan.dead_letters, *self.plan.waiting)


async def receive(source, count, *, settle=True):
    """That many deliveries, accepted unless told otherwise."""
    found = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            found += await source.receive()
            if settle:
                for delivery in found:
                    delivery.accept()
    return found


async def until(condition):
    """Waits for a condition."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - a broker's or a thread's state has no event
            await asyncio.sleep(0.01)
