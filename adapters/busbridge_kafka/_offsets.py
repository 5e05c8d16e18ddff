"""What a Kafka topic holds, as the broker tells: its partitions and their offsets. Every call blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from busbridge.errors import PositionLost, TopologyMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from confluent_kafka import Consumer

EARLIEST: Final = -2
LATEST: Final = -1
"""Times that the protocol understands as the two ends of the log."""
SECONDS: Final = 10.0
"""For one answer of the broker; librdkafka asks again within it."""


def partitions(consumer: Consumer, topic: str, seconds: float = SECONDS) -> list[TopicPartition]:
    """Every partition there is. Raises TopologyMismatch, KafkaException."""
    metadata = consumer.list_topics(topic, timeout=seconds).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopologyMismatch(f"Kafka topic {topic!r}", ["it does not exist"]) from KafkaException(metadata.error)
        raise KafkaException(metadata.error)
    return [TopicPartition(topic, partition) for partition in sorted(metadata.partitions)]


def at(consumer: Consumer, every: Sequence[TopicPartition], time: int) -> list[TopicPartition]:
    """The first offset of each partition from `time` on, in milliseconds, or at one of its ends; below 0: none."""
    asked = [TopicPartition(each.topic, each.partition, time) for each in every]
    found = consumer.offsets_for_times(asked, timeout=SECONDS)
    raise_first(found)
    return [TopicPartition(each.topic, each.partition, each.offset) for each in found]


def since(consumer: Consumer, every: Sequence[TopicPartition], time: datetime) -> list[TopicPartition]:
    """The first offset of each partition from `time` on; the end, where there is none."""
    ends = at(consumer, every, LATEST)
    found = at(consumer, every, int(time.timestamp() * 1000))
    return [end if hit.offset < 0 else hit for hit, end in zip(found, ends, strict=True)]


def lost(consumer: Consumer, subscription: str | None, where: TopicPartition) -> PositionLost:
    """The error for a position that the log no longer holds, with what it does hold."""
    low, high = (at(consumer, [where], time)[0].offset for time in (EARLIEST, LATEST))
    return PositionLost(subscription, where.topic, where.partition, where.offset, low, high)


def raise_first(answers: Sequence[TopicPartition] | None) -> None:
    """Raises the KafkaException of the first answer that is an error."""
    for answer in answers or ():
        if answer.error is not None:
            raise KafkaException(answer.error)
