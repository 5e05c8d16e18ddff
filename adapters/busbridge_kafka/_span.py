"""What of each partition is to be read: from where to where. Resolved once, so that a later client goes on with it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import TopicPartition

from busbridge.errors import PositionLost
from busbridge_kafka import _offsets as offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer

    from busbridge.routing import StartAt
    from busbridge.transport import Until


@final
class Span:
    """A part of one partition: `next` is the position of the reader, `end` None without an end.

    Between two offsets there may be nothing: compacted away, the mark of a transaction, or one that was aborted. So the
    end is reached by a position that is not before it, never by the message before it (T23).
    """

    __slots__ = ("end", "next", "partition", "topic")

    def __init__(self, topic: str, partition: int, start: int, end: int | None) -> None:
        self.topic: Final = topic
        self.partition: Final = partition
        self.next = start
        self.end: Final = end

    def take(self, offset: int) -> bool:
        """Moves on past the message at `offset`; False for one that stands outside or was taken before."""
        if offset < self.next:
            return False
        inside = self.end is None or offset < self.end
        self.next = offset + 1 if inside or self.end is None else self.end
        return inside

    def reach(self, position: int) -> None:
        """There is nothing before `position`."""
        self.next = max(self.next, position if self.end is None else min(position, self.end))

    @property
    def left(self) -> int | None:
        """Offsets up to the end."""
        return None if self.end is None else max(self.end - self.next, 0)

    @property
    def here(self) -> TopicPartition:
        """The position, as the client takes it."""
        return TopicPartition(self.topic, self.partition, self.next)


def resolve(consumer: Consumer, topic: str, start: StartAt, until: Until) -> list[Span]:
    """The part of every partition that there is. Blocks. Raises PositionLost, TopologyMismatch, KafkaException."""
    every = offsets.partitions(consumer, topic)
    ends = offsets.at(consumer, every, offsets.LATEST)
    starts = _starts(consumer, every, ends, start)
    stops = offsets.since(consumer, every, until) if isinstance(until, datetime) else ends
    return [
        Span(topic, begin.partition, begin.offset, None if until is None else stop.offset)
        for begin, stop in zip(starts, stops, strict=True)
    ]


def _starts(
    consumer: Consumer, every: Sequence[TopicPartition], ends: Sequence[TopicPartition], start: StartAt
) -> Sequence[TopicPartition]:
    match start.at:
        case "earliest":
            return offsets.at(consumer, every, offsets.EARLIEST)
        case datetime() as time:
            return offsets.since(consumer, every, time)
        case int() as offset:
            return _from_offset(consumer, ends, offset)
        case _:
            return ends


def _from_offset(consumer: Consumer, ends: Sequence[TopicPartition], offset: int) -> list[TopicPartition]:
    lows = offsets.at(consumer, ends, offsets.EARLIEST)
    for low, end in zip(lows, ends, strict=True):
        if offset < low.offset:
            raise PositionLost(None, low.topic, low.partition, offset, low.offset, end.offset)
    return [TopicPartition(end.topic, end.partition, min(offset, end.offset)) for end in ends]
