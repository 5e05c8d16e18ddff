"""What goes back to the broker: the contiguous finished prefix of each partition, by explicit offsets.

All calls are made by the thread that owns the consumer. One commit is in flight at a time; one that failed is logged,
and the next one covers it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaException, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer, KafkaError

    from busbridge_kafka._partition import Assignment

_log: Final = logging.getLogger("busbridge.kafka")

SECONDS: Final = 0.5
"""Between two commits, at most, while anything is finished."""
MESSAGES: Final = 5_000
"""Finished and not committed before a commit goes out early: what a crash repeats."""
UNTOUCHED: Final = "untouched"
"""Committed beside a position behind which no message has ever begun: whoever goes on there need not doubt any (T7)."""
_BEGUN: Final = "begun below "
"""Committed beside any other position, with the offset below which messages may have begun."""


def begun_below(position: TopicPartition) -> int:
    """The offset below which messages had begun when `position` was committed; the position itself if none had."""
    said = position.metadata or ""
    if not said.startswith(_BEGUN):
        return int(position.offset)
    return max(int(said.removeprefix(_BEGUN)), position.offset)


@final
class Commits:
    """The commits of one consumer."""

    def __init__(self, topic: str, group: str) -> None:
        self._topic = topic
        self._group = group
        self._in_flight: dict[int, Assignment] = {}
        self._last = time.monotonic()

    def send(self, consumer: Consumer, assignments: Iterable[Assignment], *, now: bool = False) -> None:
        """Commits without waiting where it is due, or at once where asked; `answered` hears how it went."""
        if self._in_flight:
            return
        marks = _marks(assignments)
        if marks and (now or self._due(marks)):
            self._last = time.monotonic()
            self._in_flight = {each.partition: each for each in marks}
            consumer.commit(offsets=[self._offset(each, mark) for each, mark in marks.items()], asynchronous=True)

    def answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The client's callback."""
        sent, self._in_flight = self._in_flight, {}
        for each in partitions:
            failure = error or each.error
            if failure is not None:
                self._complain(each, failure)
            elif each.partition in sent:
                sent[each.partition].committed = each.offset

    def last(self, consumer: Consumer, assignments: Iterable[Assignment]) -> None:
        """Commits and waits for the answer: these partitions are about to be somebody else's."""
        offsets = [
            self._offset(each, each.watermark) if each.touched else self._untouched(each)
            for each in assignments
            if not each.span or each.watermark > each.committed
        ]
        self._wait(consumer, offsets)

    def begun(self, consumer: Consumer, positions: Iterable[TopicPartition]) -> None:
        """Commits that messages behind `positions` may have begun from now on, and waits for the answer."""
        untouched = [each for each in positions if each.metadata == UNTOUCHED]
        self._wait(consumer, [TopicPartition(each.topic, each.partition, each.offset) for each in untouched])

    def _wait(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        if not offsets:
            return
        try:
            answer = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            self._complain(offsets[0], error.args[0])
            return
        for each in answer:
            if each.error is not None:
                self._complain(each, each.error)

    def _due(self, marks: dict[Assignment, int]) -> bool:
        late = time.monotonic() - self._last >= SECONDS
        return (
            late or sum(max(mark - each.committed, each.begun - each.told) for each, mark in marks.items()) >= MESSAGES
        )

    def _offset(self, assignment: Assignment, mark: int) -> TopicPartition:
        assignment.told = assignment.begun
        return TopicPartition(self._topic, assignment.partition, mark, metadata=f"{_BEGUN}{assignment.told}")

    def _untouched(self, assignment: Assignment) -> TopicPartition:
        return TopicPartition(self._topic, assignment.partition, assignment.watermark, metadata=UNTOUCHED)

    def _complain(self, where: TopicPartition, error: KafkaError) -> None:
        what = f"{where.topic}[{where.partition}] up to {where.offset}"
        _log.warning("group %s could not commit %s: %s; it may be delivered again", self._group, what, error.str())


def _marks(assignments: Iterable[Assignment]) -> dict[Assignment, int]:
    """What there is to commit: how far each is finished, or that much has begun behind a message that is not."""
    marks = {each: each.watermark for each in assignments}
    return {each: mark for each, mark in marks.items() if mark > each.committed or each.begun - each.told >= MESSAGES}
