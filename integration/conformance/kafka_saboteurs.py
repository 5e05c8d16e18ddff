"""Kafka transports that break one promise each (T27), made by bending the parts of a real one."""

from __future__ import annotations

from dataclasses import replace

from confluent_kafka import Producer

from busbridge_kafka import KafkaTransport
from busbridge_kafka import _options as options
from busbridge_kafka._partition import Assignment
from busbridge_kafka._source import KafkaSource


def subscribing(bend):
    """A transport whose sources are bent by the decorated function."""

    def make(settings):
        transport = KafkaTransport(settings)
        subscribe = transport.subscribe

        async def subscribe_and_bend(plan):
            source = await subscribe(plan)
            bend(source)
            return source

        transport.subscribe = subscribe_and_bend
        return transport

    make.__name__, make.__doc__ = bend.__name__, bend.__doc__
    return make


class WantsNoAnswer(KafkaTransport):
    """Takes a message for confirmed as soon as it is written to its connection."""

    def _make_producer(self, on_stranded):
        made = options.producer_options(self._settings, self._note, on_stranded)
        return Producer({**made, "enable.idempotence": False, "acks": 0})


class Maximum(Assignment):
    __slots__ = ()

    def finish(self, offset):
        while self._window and self._window[0] <= offset:
            self._window.popleft()


class TakesTheMaximum(KafkaSource):
    def _take(self):
        taken = super()._take()
        for each in taken:
            each.assignment.__class__ = Maximum
        return taken


@subscribing
def commits_the_maximum(source):
    """Takes the highest finished offset for the watermark."""
    source.__class__ = TakesTheMaximum


class AlwaysAlive(Assignment):
    __slots__ = ()
    alive = property(lambda _: True, lambda _self, _value: None)


class SettlesWhatIsNotItsOwn(KafkaSource):
    def _take(self):
        taken = super()._take()
        for each in taken:
            each.assignment.__class__ = AlwaysAlive
        return taken


@subscribing
def settles_stale_deliveries(source):
    """Takes a partition for its own when it has long been another's."""
    source.__class__ = SettlesWhatIsNotItsOwn


class FinishesWithoutDeadLetter(KafkaSource):
    def bury(self, delivery, record):
        delivery.assignment.finish(delivery.offset)
        self.settled()


@subscribing
def finishes_without_a_dead_letter(source):
    """Commits a rejected message and publishes no dead letter."""
    source.__class__ = FinishesWithoutDeadLetter


@subscribing
def revokes_without_draining(source):
    """Gives a partition away while its handlers are at work."""
    source._consumer._partitions.leaving = True


class Fetched(Assignment):
    __slots__ = ()

    def begin(self, offset):
        self._next = offset + 1

    def finish(self, offset):
        pass


class CommitsWhatWasFetched(KafkaSource):
    def _take_new(self, fetched, room, deliveries):
        for each in fetched.assignments.values():
            each.__class__ = Fetched
        super()._take_new(fetched, room, deliveries)


@subscribing
def commits_before_handling(source):
    """Takes a message for finished when it is handed over."""
    source.__class__ = CommitsWhatWasFetched


def ignores_the_prefetch(settings):
    """Hands over whatever there is."""
    transport = KafkaTransport(settings)
    subscribe = transport.subscribe
    transport.subscribe = lambda plan: subscribe(replace(plan, prefetch=2000))
    return transport


def publishes_in_reverse(settings):
    """Publishes a batch from its end."""
    transport = KafkaTransport(settings)
    publish = transport.publish

    async def reversed_publish(entries, seconds):
        return (await publish(entries[::-1], seconds))[::-1]

    transport.publish = reversed_publish
    return transport


def reads_one_late(settings):
    """Takes a message for read as soon as reading begins."""
    transport = KafkaTransport(settings)
    read = transport.read

    async def read_late(destination, start, until):
        history = await read(destination, start, until)
        for span in history._thread._spans.values():
            span.take(span.next)
        return history

    transport.read = read_late
    return transport


def reads_to_the_last_end(settings):
    """Takes the end for what it is while it reads, not for what it was when it began."""
    transport = KafkaTransport(settings)
    read = transport.read

    async def read_on(destination, start, until):
        return await read(destination, start, None if until == "now" else until)

    transport.read = read_on
    return transport
