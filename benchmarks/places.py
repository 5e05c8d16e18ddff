"""Where messages go in one round: a queue or Kafka topic of its own, of the same kind for every side."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Protocol, final

import pika
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.orders import TYPE, OrderPlaced
from benchmarks.works import PREFETCH
from busbridge import Bus, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from pika.adapters.blocking_connection import BlockingChannel

PARTITIONS = 4
CONCURRENCY = 16
_SECONDS = 15.0


def new_name() -> str:
    """One that nobody has used."""
    return f"bench-{uuid.uuid4().hex[:12]}"


def configuration(url: str, name: str, *, consume: bool = True) -> dict[str, Any]:
    """What busbridge reads, for one place and a service of the same name."""
    stream = url.startswith("kafka")
    subscription = {"from": "orders", "concurrency": CONCURRENCY} | ({} if stream else {"prefetch": PREFETCH})
    destination = {"kind": "stream" if stream else "queue", "transport": "broker", "name": name}
    return {
        "transports": {"broker": {"url": url}},
        "destinations": {"orders": destination | ({"partitions": PARTITIONS} if stream else {})},
        "routes": {TYPE: {"to": "orders"}},
        "services": {name: {"subscriptions": {"orders": subscription} if consume else {}}},
    }


class Place(Protocol):
    """A queue or Kafka topic of one round."""

    def holds(self) -> int:
        """Messages in it."""
        ...

    def unread(self) -> int:
        """Messages that its consumer has not acknowledged or committed."""
        ...

    def remove(self) -> None:
        """With everything that belongs to it."""
        ...


def place_of(url: str, name: str) -> Place:
    """The place of this name, whether it exists or not."""
    return _KafkaTopic(url, name) if url.startswith("kafka") else _Queue(url, name)


def make_place(url: str, name: str) -> Place:
    """A new one. busbridge declares it for everybody, so that all sides work on the same kind of queue."""

    async def declare() -> None:
        async with Bus(Service(name, publishes=[OrderPlaced]), configuration(url, name, consume=False)):
            pass

    asyncio.run(declare())
    return place_of(url, name)


@final
class _KafkaTopic:
    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._settings = {"bootstrap.servers": url.partition("://")[2]}
        self._admin = AdminClient(self._settings)
        self._partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]

    def holds(self) -> int:
        consumer = Consumer({**self._settings, "group.id": self._name})
        try:
            marks = [consumer.get_watermark_offsets(each, _SECONDS) for each in self._partitions]
        finally:
            consumer.close()
        return sum(high - low for low, high in marks)

    def unread(self) -> int:
        (group,) = self._groups()
        asked = [ConsumerGroupTopicPartitions(group, self._partitions)]
        answer = self._admin.list_consumer_group_offsets(asked)[group].result(_SECONDS)
        return self.holds() - sum(max(0, each.offset) for each in answer.topic_partitions)

    def remove(self) -> None:
        if groups := self._groups():
            _finish(self._admin.delete_consumer_groups(groups))
        topics = self._admin.list_topics(timeout=_SECONDS).topics
        _finish(self._admin.delete_topics([each for each in topics if each.startswith(self._name)]))

    def _groups(self) -> list[str]:
        known = self._admin.list_consumer_groups().result(_SECONDS).valid
        return [each.group_id for each in known if each.group_id.startswith(self._name)]


def _finish(futures: dict[str, Future[None]]) -> None:
    for future in futures.values():
        with contextlib.suppress(KafkaException):  # what is left over hurts nobody: every round has names of its own
            future.result(_SECONDS)


@final
class _Queue:
    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name

    def holds(self) -> int:
        with self._channel() as channel:
            return int(channel.queue_declare(self._name, passive=True).method.message_count)

    def unread(self) -> int:
        return self.holds()

    def remove(self) -> None:
        for name in (
            self._name,
            f"{self._name}.dead",
            f"{self._name}.orders.dead",
            f"{self._name}.booked",
            f"{self._name}.booked.dead",
        ):
            with self._channel() as channel:
                channel.queue_delete(name)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()
