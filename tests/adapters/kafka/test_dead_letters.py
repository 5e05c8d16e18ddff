"""What is added to a dead letter on Kafka, and how a process waits for its first redrive."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager

import pytest

from busbridge.errors import ClosedError, SourceEnded
from busbridge.retry import PREFIX
from busbridge.routing import Destination, Kind, SubscriptionPlan
from busbridge.transport import Position
from busbridge_kafka import _redrives as redrives
from busbridge_kafka._admin import Shape
from busbridge_kafka._aliases import aliases
from busbridge_kafka._redriven import Lookout, RedrivenSource

PLAN = SubscriptionPlan("stock", "reserve", Destination("history", Kind.STREAM, "log", "acme.history", partitions=6))


def test_the_record_is_there_in_the_words_of_connect_and_spring():
    record = [(f"{PREFIX}error-type", "KeyError"), (f"{PREFIX}error", "shelf"), (f"{PREFIX}position", "3:258")]
    told = dict(aliases(record, PLAN))
    assert told["__connect.errors.topic"] == told["kafka_dlt-original-topic"] == "acme.history"
    assert (told["__connect.errors.partition"], told["__connect.errors.offset"]) == ("3", "258")
    assert told["kafka_dlt-original-partition"] == b"\x00\x00\x00\x03"
    assert told["kafka_dlt-original-offset"] == b"\x00\x00\x00\x00\x00\x00\x01\x02"
    assert told["__connect.errors.exception.class.name"] == told["kafka_dlt-exception-fqcn"] == "KeyError"
    assert told["kafka_dlt-original-consumer-group"] == "stock.reserve"


def test_what_was_redriven_has_the_group_and_the_kafka_topic_of_its_subscription():
    again = redrives.plan_of(PLAN)
    assert (again.group, again.destination.physical) == ("stock.reserve.redrive", "stock.reserve.redrive")
    assert redrives.wanted_redrives(PLAN, 6).partitions == 6


def test_a_kafka_topic_that_was_made_again_has_other_marks():
    """Else its dead letters would count as settled before anybody saw them."""
    assert redrives.mark_of("one", Position(0, 7)) != redrives.mark_of("other", Position(0, 7))


class Cluster:
    """Knows Kafka topics, and counts how often it is asked."""

    def __init__(self):
        self.there = {}
        self.asked = 0

    @contextmanager
    def admin(self):
        yield self

    async def shapes(self, names):
        self.asked += 1
        return {name: self.there[name] for name in names if name in self.there}


class Inner:
    """A source that brings one batch."""

    def __init__(self):
        self.drained = self.closed = False

    async def start(self):
        pass

    async def receive(self):
        return ["delivery"]

    def drain(self):
        self.drained = True

    async def close(self):
        self.closed = True


@asynccontextmanager
async def looked_at():
    """A cluster, and who looks at it."""
    cluster = Cluster()
    lookout = Lookout(cluster.admin, every=0.01)
    try:
        yield cluster, lookout
    finally:
        await lookout.close()


async def test_there_is_no_consumer_before_something_was_redriven():
    async with looked_at() as (cluster, lookout):
        made = []

        def make():
            made.append(Inner())
            return made[0]

        source = RedrivenSource("stock.reserve.redrive", lookout, make)
        waiting = asyncio.create_task(source.receive())
        async with asyncio.timeout(5):
            while cluster.asked < 2:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        assert not made
        cluster.there["stock.reserve.redrive"] = Shape(6, 1)
        assert await asyncio.wait_for(waiting, 5) == ["delivery"]
        source.drain()
        await source.close()
        assert (made[0].drained, made[0].closed) == (True, True)


async def test_one_that_waits_ends_when_it_is_drained_and_wakes_when_it_is_closed():
    async with looked_at() as (_, lookout):
        drained, closed = (RedrivenSource(name, lookout, Inner) for name in "ab")
        waiting = [asyncio.create_task(each.receive()) for each in (drained, closed)]
        await asyncio.sleep(0)
        drained.drain()
        await closed.close()
        assert await drained.flush(1)
        with pytest.raises(SourceEnded):
            await asyncio.wait_for(waiting[0], 5)
        with pytest.raises(ClosedError):
            await asyncio.wait_for(waiting[1], 5)


async def test_a_cancelled_wait_leaves_the_next_one_waiting():
    async with looked_at() as (cluster, lookout):
        source = RedrivenSource("a", lookout, Inner)
        waiting = asyncio.create_task(source.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        cluster.there["a"] = Shape(1, 1)
        assert await asyncio.wait_for(source.receive(), 5) == ["delivery"]
