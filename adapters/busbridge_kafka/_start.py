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

from busbridge_kafka import _offsets as offsets
from busbridge_kafka._commits import UNTOUCHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer

    from busbridge.routing import SubscriptionPlan

_log: Final = logging.getLogger("busbridge.kafka")

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
    every = offsets.partitions(consumer, plan.destination.physical)
    starts = [
        TopicPartition(each.topic, each.partition, each.offset, metadata=UNTOUCHED)
        for each in _resolve(consumer, plan, every)
    ]
    if any(each.offset >= 0 for each in consumer.committed(every, timeout=offsets.SECONDS)):
        return
    try:
        offsets.raise_first(consumer.commit(offsets=starts, asynchronous=False))
    except KafkaException as error:
        if error.args[0].code() not in _JOINED:
            raise
        return
    _log.info("subscription %s is new and begins at %s", plan.group, [each.offset for each in starts])


def resume(consumer: Consumer, assigned: Sequence[TopicPartition]) -> list[TopicPartition]:
    """The position of each assigned partition: the committed one, or 0 of a partition that was added later.

    With what was committed beside it.
    """
    committed = consumer.committed(
        [TopicPartition(each.topic, each.partition) for each in assigned], timeout=offsets.SECONDS
    )
    offsets.raise_first(committed)
    return [
        TopicPartition(each.topic, each.partition, max(each.offset, 0), metadata=each.metadata or "")
        for each in committed
    ]


def _resolve(consumer: Consumer, plan: SubscriptionPlan, every: list[TopicPartition]) -> list[TopicPartition]:
    match plan.start.at:
        case "earliest":
            return offsets.at(consumer, every, offsets.EARLIEST)
        case datetime() as time:
            return offsets.since(consumer, every, time)
        case int() as offset:
            return _from_offset(consumer, plan, every, offset)
        case _:
            return offsets.at(consumer, every, offsets.LATEST)


def _from_offset(
    consumer: Consumer, plan: SubscriptionPlan, every: list[TopicPartition], offset: int
) -> list[TopicPartition]:
    lows, highs = offsets.at(consumer, every, offsets.EARLIEST), offsets.at(consumer, every, offsets.LATEST)
    if gone := [low.partition for low in lows if low.offset > offset]:
        _log.warning("subscription %s starts at %d, which partitions %s no longer hold", plan.group, offset, gone)
    return [
        TopicPartition(low.topic, low.partition, min(max(offset, low.offset), high.offset))
        for low, high in zip(lows, highs, strict=True)
    ]
