"""Who reads a Kafka topic outside of any group: the parts of it, and a client that is replaced."""

from __future__ import annotations

import asyncio
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import AccessRefused, ClosedError, SourceEnded, Unavailable
from busbridge.routing import TransportSettings
from busbridge_kafka import _reading as reading
from busbridge_kafka._history import KafkaHistory
from busbridge_kafka._options import reader_options
from busbridge_kafka._span import Span

END = KafkaError._PARTITION_EOF
SECONDS = 5


class Message:
    def __init__(self, offset, error=None, partition=0):
        self._offset, self._error, self._partition = offset, error, partition

    def offset(self):
        return self._offset

    def partition(self):
        return self._partition

    def error(self):
        return KafkaError(self._error) if self._error else None

    def value(self):
        return b"%d" % self._offset

    def key(self):
        return b"key"

    def headers(self):
        return None

    def timestamp(self):
        return (1, 1_500)


class Client:
    """A consumer that serves a script: what each fetch brings. At its end it is silent, or `stranded`."""

    def __init__(self, *script, strands=False):
        self.script = list(script)
        self.strands = strands
        self.calls = []
        self.closed = threading.Event()

    def made(self, on_error, on_stranded):
        self.on_error, self.on_stranded = on_error, on_stranded
        return self

    def assign(self, positions):
        self.calls.append(("assign", [each.offset for each in positions]))

    def pause(self, positions):
        self.calls.append(("pause", [each.offset for each in positions]))

    def resume(self, positions):
        self.calls.append(("resume", [each.offset for each in positions]))

    def consume(self, count, seconds):
        if count == 1 and self.script:
            return self.script.pop(0)
        if not self.script and self.strands:
            self.on_stranded()
        if seconds:
            threading.Event().wait(0.005)
        return []

    def close(self):
        self.closed.set()


def history(*clients, end=None, start=0, resolve=None, explain=lambda error: None, patience=0.0):
    left = iter(clients)
    spans = [Span("log", 0, start, end)]
    return KafkaHistory(
        "log", lambda *told: next(left).made(*told), resolve or (lambda _: spans), explain, patience, lambda _: None
    )


async def everything(reader):
    found = []
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                found += [each.position.offset for each in await reader.receive()]
            except SourceEnded:
                return found


def test_a_span_takes_each_offset_once_and_nothing_from_its_end_on():
    span = Span("log", 0, 3, 6)
    assert [span.take(offset) for offset in (2, 3, 3, 5, 6, 7)] == [False, True, False, True, False, False]
    assert (span.next, span.left) == (6, 0)


@pytest.mark.parametrize(("position", "left"), [(4, 2), (5, 1), (6, 0), (9, 0), (1, 3)])
def test_a_span_ends_by_a_position_without_a_message_before_it(position, left):
    span = Span("log", 0, 3, 6)
    span.reach(position)
    assert span.left == left


async def test_a_gap_before_the_end_is_no_reason_to_wait():
    client = Client([Message(0), Message(1)], [Message(5, END)])
    reader = history(client, end=5)
    await reader.begin()
    assert reader.remaining == 5
    assert await everything(reader) == [0, 1]
    assert reader.remaining == 0
    assert client.closed.is_set()


async def test_the_end_of_the_log_before_the_end_that_is_waited_for_ends_nothing():
    """What a transaction has written and not yet committed stands between the two."""
    client = Client([Message(0)], [Message(1, END)], [Message(1), Message(2)])
    assert await everything(history(client, end=3)) == [0, 1, 2]


async def test_what_stands_behind_the_end_is_not_handed_over_and_no_more_of_it_is_fetched():
    client = Client([Message(0), Message(1), Message(2), Message(3)])
    assert await everything(history(client, end=2)) == [0, 1]
    assert ("pause", [2]) in client.calls


async def test_a_stranded_client_is_replaced_by_one_that_goes_on_where_it_was(caplog):
    first, second = Client([Message(0), Message(1)], strands=True), Client([Message(2), Message(3)])
    assert await everything(history(first, second, end=4)) == [0, 1, 2, 3]
    assert first.calls[0] == ("assign", [0])
    assert second.calls[0] == ("assign", [2])
    assert "reaches no broker any more" in caplog.text
    assert first.closed.wait(SECONDS)


async def test_nothing_is_fetched_while_nobody_asks_and_a_long_rest_pauses_the_partitions(monkeypatch):
    monkeypatch.setattr(reading, "RESTING", 0.01)
    client = Client([Message(0)], [], [], [Message(1)])
    reader = history(client, end=2)
    assert [each.position.offset for each in await reader.receive()] == [0]
    async with asyncio.timeout(SECONDS):
        while ("pause", [1]) not in client.calls:  # noqa: ASYNC110 - a thread's state has no event
            await asyncio.sleep(0.005)
    assert await everything(reader) == [1]
    assert ("resume", [1]) in client.calls


async def test_a_broker_that_never_answers_is_unavailable():
    def resolve(_):
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    client = Client()
    with pytest.raises(Unavailable, match="Kafka topic 'log'"):
        await history(client, resolve=resolve).begin()
    assert client.closed.is_set()


async def test_a_refusal_on_the_way_is_raised_after_what_was_fetched():
    refused = AccessRefused("Kafka", "me", "no")
    client = Client([Message(0), Message(1, KafkaError.TOPIC_AUTHORIZATION_FAILED)])
    reader = history(client, explain=lambda error: refused if error.code() != END else None)
    assert [each.position.offset for each in await reader.receive()] == [0]
    with pytest.raises(AccessRefused):
        await asyncio.wait_for(reader.receive(), SECONDS)
    assert client.closed.is_set()


async def test_an_error_of_no_partition_does_not_end_it():
    client = Client([Message(0, KafkaError.GROUP_AUTHORIZATION_FAILED, partition=-1)], [Message(0)])
    assert await everything(history(client, end=1)) == [0]


async def test_one_that_is_abandoned_ends_its_thread_and_closing_wakes_who_waits():
    abandoned, closed = Client(), Client()
    reader = history(abandoned)
    reader.abandon()
    async with asyncio.timeout(SECONDS):
        while not abandoned.closed.is_set():  # noqa: ASYNC110 - a thread's state has no event
            await asyncio.sleep(0.005)
    reader = history(closed)
    waiting = asyncio.ensure_future(reader.receive())
    await asyncio.sleep(0.02)
    await reader.close()
    with pytest.raises(ClosedError):
        await waiting
    assert closed.closed.is_set()


async def test_beginning_that_is_cancelled_leaves_no_thread():
    asked, answer = threading.Event(), threading.Event()

    def resolve(_):
        asked.set()
        answer.wait(SECONDS)
        return [Span("log", 0, 0, None)]

    client = Client()
    beginning = asyncio.ensure_future(history(client, resolve=resolve).begin())
    await asyncio.to_thread(asked.wait, SECONDS)
    beginning.cancel()
    answer.set()
    await asyncio.wait([beginning], timeout=SECONDS)
    assert beginning.cancelled()
    assert client.closed.is_set()


def test_who_reads_commits_nothing_and_is_watched():
    chosen = reader_options(TransportSettings("kafka", "kafka://localhost"), lambda error: None, lambda: None)
    assert (chosen["enable.auto.commit"], chosen["auto.offset.reset"]) == (False, "error")
    assert chosen["enable.partition.eof"]
    assert chosen["statistics.interval.ms"]
