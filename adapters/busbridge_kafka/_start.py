"""Where a subscription begins, and where it goes on: nothing is skipped in silence (T3).

`start:` is resolved once. A group that has no committed position in any partition is new: what `start:` means is worked
out for every partition and committed, before this process joins. The broker takes such a commit only while nobody is in
the group, so that a running group can't be set back. The positions are worked out *before* asking whether the group is
new: of two processes that begin at once, the later commit is then not beyond what came after the earlier one.

From then on a position is either committed, or the partition was added later and starts at 0. Where the log no longer
holds it, the client reports that (`auto.offset.reset=error`), and the subscription stops.

What can't be told from a new group is one whose positions have all expired: after 7 days without a member, by the
broker's default (`offsets.retention.minutes`).
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from busbridge.errors import PositionLost, TopologyMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer

    from busbridge.routing import SubscriptionPlan

_log: Final = logging.getLogger("busbridge.kafka")

_EARLIEST: Final = -2
_LATEST: Final = -1
"""Times that the protocol understands as the two ends of the log."""
_SECONDS: Final = 10.0
"""For one answer of the broker; librdkafka asks again within it."""

_JOINED: Final = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""Refusals of a commit from outside: the group has members, so that somebody else began it."""


def begin(consumer: Consumer, plan: SubscriptionPlan) -> None:
    """Commits the starting positions of a new group; leaves any other as it is. Blocks. Raises KafkaException."""
    every = _partitions(consumer, plan.destination.physical)
    starts = _resolve(consumer, plan, every)
    if any(each.offset >= 0 for each in consumer.committed(every, timeout=_SECONDS)):
        return
    try:
        _raise_first(consumer.commit(offsets=starts, asynchronous=False))
    except KafkaException as error:
        if error.args[0].code() not in _JOINED:
            raise
        return
    _log.info("subscription %s is new and begins at %s", plan.group, [each.offset for each in starts])


def resume(consumer: Consumer, assigned: Sequence[TopicPartition]) -> list[TopicPartition]:
    """The position of each assigned partition: the committed one, or 0 of a partition that was added later."""
    committed = consumer.committed([TopicPartition(each.topic, each.partition) for each in assigned], timeout=_SECONDS)
    _raise_first(committed)
    return [TopicPartition(each.topic, each.partition, max(each.offset, 0)) for each in committed]


def lost(consumer: Consumer, plan: SubscriptionPlan, partition: int, offset: int) -> PositionLost:
    """The error for a position that the log no longer holds, with what it does hold."""
    where = [TopicPartition(plan.destination.physical, partition)]
    low, high = (_at(consumer, where, time)[0].offset for time in (_EARLIEST, _LATEST))
    return PositionLost(plan.group, plan.destination.physical, partition, offset, low, high)


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    metadata = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopologyMismatch(f"Kafka topic {topic!r}", ["it does not exist"]) from KafkaException(metadata.error)
        raise KafkaException(metadata.error)
    return [TopicPartition(topic, partition) for partition in sorted(metadata.partitions)]


def _resolve(consumer: Consumer, plan: SubscriptionPlan, every: list[TopicPartition]) -> list[TopicPartition]:
    match plan.start.at:
        case "earliest":
            return _at(consumer, every, _EARLIEST)
        case datetime() as time:
            return _since(consumer, every, time)
        case int() as offset:
            return _from_offset(consumer, plan, every, offset)
        case _:
            return _at(consumer, every, _LATEST)


def _since(consumer: Consumer, every: list[TopicPartition], time: datetime) -> list[TopicPartition]:
    ends = _at(consumer, every, _LATEST)
    found = _at(consumer, every, int(time.timestamp() * 1000))
    return [end if hit.offset < 0 else hit for hit, end in zip(found, ends, strict=True)]


def _from_offset(
    consumer: Consumer, plan: SubscriptionPlan, every: list[TopicPartition], offset: int
) -> list[TopicPartition]:
    lows, highs = _at(consumer, every, _EARLIEST), _at(consumer, every, _LATEST)
    if gone := [low.partition for low in lows if low.offset > offset]:
        _log.warning("subscription %s starts at %d, which partitions %s no longer hold", plan.group, offset, gone)
    return [
        TopicPartition(low.topic, low.partition, min(max(offset, low.offset), high.offset))
        for low, high in zip(lows, highs, strict=True)
    ]


def _at(consumer: Consumer, every: Sequence[TopicPartition], time: int) -> list[TopicPartition]:
    asked = [TopicPartition(each.topic, each.partition, time) for each in every]
    found = consumer.offsets_for_times(asked, timeout=_SECONDS)
    _raise_first(found)
    return [TopicPartition(each.topic, each.partition, each.offset) for each in found]


def _raise_first(answers: Sequence[TopicPartition] | None) -> None:
    for answer in answers or ():
        if answer.error is not None:
            raise KafkaException(answer.error)
