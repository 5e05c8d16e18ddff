"""The partitions this process holds, and what happens when they come and go.

All of it runs inside `Consumer.consume`, in the thread that owns the consumer: the client waits until it returns, so
that nobody else begins a partition whose handlers still run here (T10).
"""

from __future__ import annotations

import logging
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaException, TopicPartition

from busbridge_kafka import _errors as errors
from busbridge_kafka import _start as start
from busbridge_kafka._commits import MESSAGES, UNTOUCHED, begun_below
from busbridge_kafka._partition import Assignment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Consumer

    from busbridge.routing import SubscriptionPlan
    from busbridge_kafka._commits import Commits

_log: Final = logging.getLogger("busbridge.kafka")

DEFAULT_PREFETCH: Final = 2_000
DRAIN_SECONDS: Final = 30.0
"""How long a revoked partition waits for the handlers at work on it; after that they can't settle any more."""
LONGEST_SPAN: Final = 50_000
"""Messages behind an unfinished one before its partition rests: bounds what a crash repeats, and the memory for it."""
_STEP: Final = 0.005
_PATIENCE: Final = 30.0
"""Seconds without the position of a partition before its consumer is given up, and another asks."""


@final
class Partitions:
    """The assignments of one consumer, by partition. `table` is replaced when they change, never changed itself."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        commits: Commits,
        failed: Callable[[Exception], None],
        stranded: Callable[[], None],
        learn: Callable[[Consumer], None],
    ) -> None:
        """`failed` is told what can't be mended; `stranded` is called where another consumer may have more luck.

        `learn` asks for the membership, which a rebalance changes: transactions that are waited for need the new one.
        """
        self.table: Mapping[int, Assignment] = MappingProxyType({})
        self.joined = False
        """Whether the group has taken this member in; it may have got no partition."""
        self.leaving = False
        """Set when this process leaves: nothing is at work any more, nothing is waited for."""
        self._plan = plan
        self._commits = commits
        self._failed = failed
        self._stranded = stranded
        self._learn = learn
        self._paused = False
        self._window = MESSAGES + (plan.prefetch or DEFAULT_PREFETCH)
        """What may have begun since the last commit, when a process dies."""

    def assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The client's callback: each partition goes on where it was committed, in a new session."""
        self.joined = True
        try:
            begun = self._positions(consumer, partitions)
        except KafkaException as error:
            if errors.is_access(error.args[0]):
                self._failed(error)
            else:
                self._stranded()
            return
        consumer.incremental_assign(begun)
        # Told either way: a partition that was paused when it was revoked is still paused when it comes back.
        (consumer.pause if self._paused else consumer.resume)(begun)
        self._commits.begun(consumer, begun)
        self._learn(consumer)  # before there is anything to be committed
        fresh = {
            each.partition: Assignment(each.partition, each.offset, self._doubtful(each), begun_below(each))
            for each in begun
        }
        self.table = MappingProxyType({**self.table, **fresh})
        _log.info("%s takes partitions %s", self._plan.group, sorted(fresh))

    def _doubtful(self, position: TopicPartition) -> int:
        """Messages that may have begun before: none, where whoever was there last has said so."""
        return 0 if position.metadata == UNTOUCHED else self._window

    def revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The client's callback: what has begun is finished and committed before the partitions are given away."""
        going = self._without(partitions)
        for each in going:
            each.taking = False
        self._drain(consumer, going)
        for each in going:
            each.alive = False  # before the commit: what is settled after it was read must be refused
        self._commits.last(consumer, going)
        consumer.incremental_unassign(partitions)
        _log.info("%s gives up partitions %s", self._plan.group, sorted(each.partition for each in going))

    def lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The client's callback: somebody else has them already, so that nothing may be committed."""
        for each in self._without(partitions):
            each.taking = each.alive = False
        consumer.incremental_unassign(partitions)
        _log.warning("%s lost partitions %s", self._plan.group, sorted(each.partition for each in partitions))

    def end(self) -> None:
        """Nothing can be settled any more, and nothing is waited for or committed when the consumer is closed."""
        gone, self.table = self.table, MappingProxyType({})
        self.leaving = True
        for each in gone.values():
            each.taking = each.alive = False

    def pause(self, consumer: Consumer) -> None:
        """Nothing more comes, while the consumer is still polled and keeps its membership."""
        if not self._paused:
            self._paused = True
            consumer.pause(self._named(self.table.values()))

    def resume(self, consumer: Consumer) -> None:
        """Undoes `pause`, but for partitions that rest by themselves."""
        if self._paused:
            self._paused = False
            consumer.resume(self._named(each for each in self.table.values() if not each.paused))

    def rest(self, consumer: Consumer) -> None:
        """Pauses a partition where too much stands behind an unfinished message, resumes it when that is worked off."""
        for each in self.table.values():
            if not each.paused and each.span > LONGEST_SPAN:
                each.paused = True
                consumer.pause(self._named([each]))
                _log.warning("%s: partition %d rests, %d messages stand behind offset %d",
                             self._plan.group, each.partition, each.span, each.watermark)  # fmt: skip
            elif each.paused and each.span < LONGEST_SPAN // 2:
                each.paused = False
                if not self._paused:
                    consumer.resume(self._named([each]))

    def _positions(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return start.resume(consumer, partitions)
            except KafkaException as error:
                if errors.is_access(error.args[0]) or self.leaving or time.monotonic() > deadline:
                    raise
                _log.warning("%s waits for its positions: %s", self._plan.group, error.args[0].str())

    def _drain(self, consumer: Consumer, going: Sequence[Assignment]) -> None:
        # A look every few milliseconds: telling this thread would cost every settlement, and rebalances are rare.
        deadline = time.monotonic() + DRAIN_SECONDS
        while not self.leaving and any(each.held for each in going):
            if time.monotonic() > deadline:
                _log.warning(
                    "%s: handlers outlast %g s; their messages are delivered again", self._plan.group, DRAIN_SECONDS
                )
                return
            self._learn(consumer)
            time.sleep(_STEP)

    def _without(self, partitions: Iterable[TopicPartition]) -> list[Assignment]:
        gone = {each.partition for each in partitions}
        going = [each for each in self.table.values() if each.partition in gone]
        self.table = MappingProxyType({number: each for number, each in self.table.items() if number not in gone})
        return going

    def _named(self, assignments: Iterable[Assignment]) -> list[TopicPartition]:
        return [TopicPartition(self._plan.destination.physical, each.partition) for each in assignments]
