"""The way to Kafka, with a client that answers as told."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import ClosedError, MessageRefused, OutcomeUnknown
from busbridge.routing import Destination, Kind
from busbridge.transport import Entry, Position, Status
from busbridge_kafka import _producer
from busbridge_kafka._producer import Publisher

STREAM = Destination("orders", Kind.STREAM, "kafka", "physical-orders")


class Written:
    def __init__(self, offset):
        self._offset = offset

    def partition(self):
        return 3

    def offset(self):
        return self._offset


class Client:
    """A producer that confirms at the next poll, or says of a body what `answers` has for it."""

    def __init__(self, stranded=None, *, room=1_000, answers=None, silent=False):
        self.stranded = stranded
        self.room = room
        self.answers = answers or {}
        self.silent = silent
        self.waiting = []
        self.written = []
        self.closed = False

    def __len__(self):
        return len(self.waiting)

    def produce(self, topic, value, key, *, headers, on_delivery):
        if len(self.waiting) >= self.room:
            raise BufferError
        if isinstance(answer := self.answers.get(value), Exception):
            raise answer
        self.waiting.append((value, answer, on_delivery))

    def poll(self, timeout):
        if self.silent:
            return
        waiting, self.waiting = self.waiting, []
        for value, answer, report in waiting:
            if answer is None:
                self.written.append(value)
            report(answer, Written(len(self.written) - 1))

    def purge(self):
        waiting, self.waiting = self.waiting, []
        for _, _, report in waiting:
            report(KafkaError(KafkaError._PURGE_QUEUE), None)

    def close(self):
        self.closed = True


def entries(*bodies):
    return [Entry(STREAM, body, [("id", "1")], "key") for body in bodies]


def publish(client, *bodies, seconds=5.0, successors=()):
    makers = iter([client, *successors])

    async def run():
        publisher = Publisher(lambda _: next(makers))
        try:
            return await publisher.publish(entries(*bodies), seconds)
        finally:
            await publisher.close(0)

    return asyncio.run(run())


def test_each_entry_gets_its_position_in_the_order_given():
    outcomes = publish(Client(), b"a", b"b", b"c")
    assert [each.position for each in outcomes] == [Position(3, 0), Position(3, 1), Position(3, 2)]


def test_nothing_to_publish_is_published_at_once():
    assert publish(Client()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "not_allowed"),
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), "no_destination"),
        (KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), "too_large"),
        (KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), "too_large"),
        (TypeError("expected header value to be None, binary, or unicode string, not float"), "invalid"),
    ],
)
def test_a_refused_entry_is_named_and_stops_no_other(error, reason):
    outcomes = publish(Client(answers={b"bad": error}), b"a", b"bad", b"c")
    assert [each.status for each in outcomes] == [Status.CONFIRMED, Status.REFUSED, Status.CONFIRMED]
    refusal = outcomes[1].error
    assert isinstance(refusal, MessageRefused)
    assert refusal.reason == reason
    assert refusal.destination == "orders"
    assert refusal.__cause__ is not None


def test_a_timed_out_entry_may_be_there_or_not():
    outcomes = publish(Client(answers={b"late": KafkaError(KafkaError._MSG_TIMED_OUT)}), b"late")
    assert outcomes[0].status is Status.UNKNOWN
    assert isinstance(outcomes[0].error, OutcomeUnknown)


def test_without_a_confirm_the_deadline_decides():
    outcomes = publish(Client(silent=True), b"a", seconds=0.05)
    assert outcomes[0].status is Status.UNKNOWN
    assert "0.05 s" in str(outcomes[0].error)


def test_a_full_client_is_waited_for_and_order_kept():
    client = Client(room=2)
    bodies = [b"%d" % number for number in range(20)]
    outcomes = publish(client, *bodies)
    assert all(each.status is Status.CONFIRMED for each in outcomes)
    assert client.written == bodies


def test_a_producer_that_cannot_go_on_is_replaced_and_what_it_left_goes_out_again_in_order():
    broken = Client(
        answers={b"b": KafkaError(KafkaError._FATAL, "out of order", True), b"c": KafkaError(KafkaError._FATAL)}
    )
    successor = Client()
    outcomes = publish(broken, b"a", b"b", b"c", successors=[successor])
    assert all(each.status is Status.CONFIRMED for each in outcomes)
    assert broken.written == [b"a"]
    assert successor.written == [b"b", b"c"]
    assert broken.closed


def test_while_a_producer_is_replaced_newer_batches_wait_behind_the_older_ones():
    broken = Client(answers={b"old": KafkaError(KafkaError._FATAL, "out of order", True)})
    successor = Client()
    makers = iter([broken, successor])

    async def run():
        publisher = Publisher(lambda _: next(makers))
        older = asyncio.create_task(publisher.publish(entries(b"old"), 5))
        while publisher._replacing is None:  # noqa: ASYNC110 - the publisher has no event for it
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await publisher.publish(entries(b"new"), 5)
        await older
        await publisher.close(0)

    asyncio.run(run())
    assert successor.written == [b"old", b"new"]


def test_a_producer_that_can_not_be_made_at_once_is_made_later(monkeypatch):
    monkeypatch.setattr(_producer, "PAUSE", 0.001)
    broken, successor = Client(answers={b"a": KafkaError(KafkaError._FATAL, "out of order", True)}), Client()
    refusals = [KafkaException(KafkaError(KafkaError._CRIT_SYS_RESOURCE, "no threads left"))] * 3
    makers = iter([broken, *refusals, successor])

    def make(_):
        made = next(makers)
        if isinstance(made, Exception):
            raise made
        return made

    async def run():
        publisher = Publisher(make)
        outcomes = await publisher.publish(entries(b"a"), 5)
        await publisher.close(0)
        return outcomes

    assert [each.status for each in asyncio.run(run())] == [Status.CONFIRMED]
    assert successor.written == [b"a"]


def test_a_stranded_producer_is_replaced_and_what_it_left_goes_out_again():
    made = []

    def make(stranded):
        made.append(Client(stranded, silent=not made))
        return made[-1]

    async def run():
        publisher = Publisher(make)
        waiting = asyncio.create_task(publisher.publish(entries(b"a", b"b"), 5))
        await asyncio.sleep(0)
        made[0].stranded()
        outcomes = await waiting
        await publisher.close(0)
        return outcomes

    assert [each.status for each in asyncio.run(run())] == [Status.CONFIRMED] * 2
    assert made[0].closed
    assert made[1].written == [b"a", b"b"]


def test_a_closed_publisher_takes_nothing():
    async def run():
        publisher = Publisher(Client)
        await publisher.close(0)
        with pytest.raises(ClosedError):
            await publisher.publish(entries(b"a"), 1)

    asyncio.run(run())


def test_close_ends_although_nothing_is_confirmed_and_says_how_much_is_dropped(caplog):
    async def run():
        publisher = Publisher(lambda _: Client(silent=True))
        waiting = asyncio.create_task(publisher.publish(entries(b"a", b"b"), 0.3))
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            await publisher.close(0.05)
        assert (await waiting)[0].status is Status.UNKNOWN

    asyncio.run(run())
    assert caplog.messages == ["2 unconfirmed messages are dropped"]


def test_what_the_client_only_has_to_tell_is_not_called_unconfirmed(caplog):
    class Talkative(Client):
        def __len__(self):
            return super().__len__() + 1

    async def run():
        await Publisher(Talkative).close(0)

    asyncio.run(run())
    assert not caplog.messages
