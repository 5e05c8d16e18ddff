"""What of a destination its subscription has not settled, by bare clients."""

from __future__ import annotations

from contextlib import closing

from confluent_kafka import TopicPartition

from integration.brokers import Kafka, RabbitMQ

PARTITIONS = 2
_SECONDS = 10


def unread(broker: Kafka | RabbitMQ, physical: str, group: str) -> int:
    """Messages that nobody has settled; on RabbitMQ those that a consumer holds are not counted."""
    return _uncommitted(broker, physical, group) if isinstance(broker, Kafka) else _ready(broker, physical)


def _ready(rabbitmq: RabbitMQ, queue: str) -> int:
    with rabbitmq.connect() as connection:
        return connection.channel().queue_declare(queue, passive=True).method.message_count


def _uncommitted(kafka: Kafka, kafka_topic: str, group: str) -> int:
    partitions = [TopicPartition(kafka_topic, each) for each in range(PARTITIONS)]
    with closing(kafka.consumer(group, enable_auto_commit=False)) as consumer:
        ends = [consumer.get_watermark_offsets(each, _SECONDS)[1] for each in partitions]
        return sum(ends) - sum(max(0, each.offset) for each in consumer.committed(partitions, _SECONDS))
