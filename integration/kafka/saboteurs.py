"""The Kafka adapter with one promise broken, where only a test that knows Kafka can notice (T27).

Each makes the adapter wrong in one place while it is entered. Those that every transport's rows notice are with the
conformance kit.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from unittest.mock import patch

from busbridge.outbox import _seams
from busbridge.transport import Settlement
from busbridge_kafka import _offsets, _start
from busbridge_kafka._commits import Commits
from busbridge_kafka._dead_letters import DeadLetter
from busbridge_kafka._delivery import KafkaDelivery
from busbridge_kafka._source import KafkaSource
from busbridge_kafka._transactions import Transactions


@contextmanager
def late_settlement_accepted():
    """Takes a settlement of an assignment that is gone for a good one."""

    def accept(delivery):
        delivery.settlement = Settlement.ACCEPTED
        delivery.assignment.finish(delivery.offset)
        delivery.settler.settled()
        return True

    with patch.object(KafkaDelivery, "accept", accept):
        yield


@contextmanager
def finished_before_the_dead_letter():
    """Finishes a rejected delivery at once, and publishes its dead letter afterwards, if it comes to that."""

    def bury(source, delivery, record):
        delivery.assignment.finish(delivery.offset)
        source.settled()
        burial = asyncio.get_running_loop().create_task(source._dead_letters.bury(delivery, record))
        burial.add_done_callback(lambda done: done.cancelled() or done.exception())

    with patch.object(KafkaSource, "bury", bury):
        yield


@contextmanager
def start_not_resolved():
    """Works out `start: latest` at each start while nothing is committed: what came in between is skipped (T3)."""

    def ends(consumer, assigned):
        committed = consumer.committed(assigned, timeout=10)
        latest = _offsets.at(consumer, assigned, _offsets.LATEST)
        return [known if known.offset >= 0 else end for known, end in zip(committed, latest, strict=True)]

    with (
        patch.object(_start, "begin", lambda consumer, plan: None),
        patch.object(_start, "resume", ends),
        patch.object(Commits, "last", lambda commits, consumer, assignments: None),  # where nothing has begun
    ):
        yield


@contextmanager
def headers_as_a_dict():
    """Loses the repeated headers of a dead letter."""
    honest = DeadLetter.__init__

    def construct(letter, destination, delivery, record):
        honest(letter, destination, delivery, record)
        letter.headers = list(dict(letter.headers).items())

    with patch.object(DeadLetter, "__init__", construct):
        yield


@contextmanager
def offsets_committed_apart():
    """Commits what was published, and how far the group has come in a transaction after it."""
    honest = Transactions.commit

    def commit(transactions, letters, offsets, membership):
        producer = transactions.begin()
        producer.begin_transaction()
        for letter in letters:
            producer.produce(letter.destination.physical, letter.body, letter.key, headers=list(letter.headers))
        type(producer).__mro__[1].commit_transaction(producer)
        _seams.reached("between")
        honest(transactions, [], offsets, membership)

    with patch.object(Transactions, "commit", commit):
        yield


@contextmanager
def lost_answers_are_aborts():
    """Takes a commit whose answer was lost for one that never was."""
    with patch.object(Transactions, "_happened", lambda transactions, offsets: False):
        yield
