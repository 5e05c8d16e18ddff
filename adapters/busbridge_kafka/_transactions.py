"""The transactions of one member of a group: what is published, and how far the group has come, all or nothing (T23).

All calls block, and are made in one thread. A producer is used for as long as its transactions succeed: one that failed
in the middle is in a state that librdkafka itself is not always clear about, and its successor, which has the same
`transactional.id`, has the broker end whatever was open. What a commit came to whose answer was lost is then written in
the group's positions.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, cast, final

from confluent_kafka import KafkaException

from busbridge.errors import BusbridgeError, MessageRefused, TransactionAborted
from busbridge_kafka import _errors as errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaError, Message, Producer, TopicPartition

    from busbridge_kafka._batch import Sendable
    from busbridge_kafka._consumer import Explain
    from busbridge_kafka._producer import KafkaHeaders

    Positions = Callable[[Sequence[TopicPartition]], Sequence[TopicPartition]]
    """Asks how far the group has come in some partitions; waits for transactions that are not yet ended."""

_log: Final = logging.getLogger("busbridge.kafka")

SECONDS: Final = 10.0
"""For a producer to begin, and for the client to take a message."""
ABORT: Final = 2.0
"""Seconds for the politeness of ending a transaction that failed: otherwise the next producer has it ended."""
FULL: Final = 0.01
"""Seconds until the client's queue may have room again."""
PAUSE: Final = (0.2, 1.0)
"""Seconds, jittered, between two attempts to find out what a commit has come to."""


@final
class Transactions:
    """One transaction at a time. `commit` and `begin` run in one thread, `close` ends that for good."""

    def __init__(self, who: str, make: Callable[[], Producer], positions: Positions, explain: Explain) -> None:
        self._who = who
        self._make = make
        self._positions = positions
        self._explain = explain
        self._producer: Producer | None = None
        self.closed = False
        """Set when nothing more is to be found out."""

    def begin(self) -> Producer:
        """A producer that is ready, once all before it can do no more. Raises TransactionAborted, AccessRefused."""
        if self._producer is None:
            producer = self._make()
            try:
                producer.init_transactions(SECONDS)
            except KafkaException as error:
                _close_aside(producer)
                raise self._ours(error) from error
            self._producer = producer
        return self._producer

    def commit(
        self, letters: Sequence[Sendable], offsets: list[TopicPartition], membership: Callable[[], bytes]
    ) -> None:
        """Publishes and moves the group on. `membership` says, as late as possible, that the partitions are still ours.

        Raises MessageRefused, TransactionAborted, AccessRefused and what `membership` raises: then nothing happened.
        """
        producer = self.begin()
        refused: list[MessageRefused] = []
        try:
            producer.begin_transaction()
            _produce(producer, letters, refused)
            producer.send_offsets_to_transaction(offsets, membership())
        except (KafkaException, BusbridgeError) as error:
            self._abort(producer)
            raise (refused[0] if refused else self._ours(error)) from error
        try:
            producer.commit_transaction()  # as long as `transaction.timeout.ms` says
        except KafkaException as error:
            self._abort(producer)
            if not self._happened(offsets):
                raise (refused[0] if refused else self._ours(error)) from error

    def close(self) -> None:
        """Ends what is open. In the thread."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _abort(self, producer: Producer) -> None:
        self._producer = None
        try:
            producer.abort_transaction(ABORT)
        except KafkaException as error:
            _log.info("%s: a transaction is left for its successor to end: %s", self._who, error.args[0].str())
        producer.poll(0)  # serves the reports of what was refused
        _close_aside(producer)

    def _happened(self, offsets: Sequence[TopicPartition]) -> bool:
        """Whether a commit that failed, or whose answer was lost, took place: all partitions have moved on, or none."""
        while not self.closed:
            try:
                self.begin()
                there = self._positions(offsets)
            except (KafkaException, TransactionAborted) as error:
                _log.warning("%s can't find out what a commit has come to, trying again: %s", self._who, error)
                time.sleep(random.uniform(*PAUSE))  # noqa: S311  (jitter, no secret)
            else:
                reached = {(each.topic, each.partition): each.offset for each in there}
                return all(reached[each.topic, each.partition] >= each.offset for each in offsets)
        raise TransactionAborted(self._who, "or perhaps committed: it was closed before that could be found out")

    def _ours(self, error: Exception) -> BusbridgeError:
        if isinstance(error, BusbridgeError):
            return error
        known = self._explain(error.args[0])
        return known or TransactionAborted(self._who, error.args[0].str())


def _produce(producer: Producer, letters: Sequence[Sendable], refused: list[MessageRefused]) -> None:
    """Hands everything to the client, which may be told only later that something is refused."""
    for letter in letters:
        try:
            _produce_one(producer, letter, partial(_reported, letter, refused))
        except (TypeError, ValueError) as error:
            raise MessageRefused("invalid", letter.destination.name, str(error)) from error
        except KafkaException as error:
            _reported(letter, refused, error.args[0])
            raise


def _produce_one(producer: Producer, letter: Sendable, report: Callable[..., None]) -> None:
    deadline = time.monotonic() + SECONDS
    headers = cast("KafkaHeaders", list(letter.headers))
    while True:
        try:
            producer.produce(letter.destination.physical, letter.body, letter.key, headers=headers, on_delivery=report)
        except BufferError:
            if time.monotonic() > deadline:
                raise TransactionAborted(letter.destination.name, "the client's queue stays full") from None
            producer.poll(FULL)
        else:
            return


def _reported(
    letter: Sendable,
    refused: list[MessageRefused],
    error: KafkaError | None,
    _: Message[bytes, bytes] | None = None,
) -> None:
    """The client's delivery report."""
    if error is not None and errors.meaning(error) is errors.Report.REFUSED:
        refused.append(errors.refusal(letter.destination, error))


def _close_aside(producer: Producer) -> None:
    """Ends a producer that may still wait for its broker, without waiting for it."""
    threading.Thread(target=producer.close, name="busbridge-kafka-aborted", daemon=True).start()
