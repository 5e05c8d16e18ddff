"""Order while a message is tried again: its key waits for it, and other keys go on (T17). With a store and without."""

from __future__ import annotations

import asyncio
import random

import pytest

from busbridge import Bus, Context, Retry, Service
from busbridge.runtime import MemoryTransports
from busbridge.testing import harness
from tests.runtime.conftest import Placed
from tests.runtime.effects import stock_service, until, with_store


@pytest.fixture(params=["no store", "store"], autouse=True)
def stored(request, config, tmp_path):
    """Everything here holds with a store and without; the lane is one, the shard or partition too."""
    if request.param == "store":
        with_store(config, f"sqlite:///{tmp_path}/stock.db")
    return request.param == "store"


@pytest.fixture(params=["queue", "stream"], autouse=True)
def place(request, config):
    """An ordered queue and a stream."""
    ordered = {"kind": "queue", "transport": "rabbit", "ordered": "true", "partitions": 1}
    stream = {"kind": "stream", "transport": "log", "partitions": 1}
    config["destinations"]["orders"] = ordered if request.param == "queue" else stream


def with_retry(config, **subscription):
    subscription.setdefault("retry", {"attempts": 4, "immediate": 1, "first": "60ms", "backoff": "fixed"})
    config["services"]["stock"]["subscriptions"]["reserve"].update(subscription)
    return config


def orders(*named):
    """`a1` is the first order of the key `a`."""
    return [Placed(order_id=each[0], cents=int(each[1:])) for each in named]


class Seen(list):
    """Calls of a handler: message and attempt. One that is made again since its transaction was undone is the same."""

    def note(self, order, context):
        """The message's name."""
        called = (f"{order.order_id}{order.cents}", context.delivery.attempt)
        if called not in self:
            self.append(called)
        return called[0]

    def of(self, key):
        return [each for each in self if each[0].startswith(key)]


async def test_a_message_that_fails_lets_its_key_wait_and_other_keys_go_on(config):
    """C18: were the lane blocked, b would wait; were nothing, a3 would overtake a2."""
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a2" and context.delivery.attempt < 3:
            raise RuntimeError

    async with harness(service, config=with_retry(config)) as bus:
        await bus.publish_many(orders("a1", "a2", "a3", "b1", "a4", "b2"))
        await bus.settled()
        assert bus.bus("stock").counts["reserve"].blocked == 2
    assert seen.of("a") == [("a1", 1), ("a2", 1), ("a2", 2), ("a2", 3), ("a3", 1), ("a4", 1)]
    assert seen.of("b") == [("b1", 1), ("b2", 1)]
    assert seen.index(("b2", 1)) < seen.index(("a2", 2)), "b waited for a"


async def test_a_key_goes_on_once_the_message_that_held_it_is_dead(config):
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a1":
            raise Retry(after=0.02)

    async with harness(service, config=with_retry(config, retry={"attempts": 3}), raise_failures=False) as bus:
        await bus.publish_many(orders("a1", "a2"))
        await bus.settled()
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}
    assert seen == [("a1", 1), ("a1", 2), ("a1", 3), ("a2", 1)]


async def test_any_number_of_failures_leaves_each_key_in_order(config):
    """Whatever fails, and however often: a message begins when the one before it of its key has ended."""
    service, reserve = stock_service()
    chance = random.Random(4)
    planned = {f"{key}{number}": chance.choice((0, 0, 0, 1, 2, 9)) for key in "abc" for number in range(8)}
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        called = seen.note(order, context)
        await asyncio.sleep(chance.choice((0, 0.002)))
        if context.delivery.attempt <= planned[called]:
            raise Retry(after=chance.uniform(0, 0.03))

    config = with_retry(config, retry={"attempts": 3}, concurrency=2)
    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish_many(orders(*(f"{key}{number}" for number in range(8) for key in "abc")))
        await bus.settled()
    for key in "abc":
        names = [f"{key}{number}" for number in range(8)]
        attempts = ((each, attempt + 1) for each in names for attempt in range(min(planned[each] + 1, 3)))
        assert seen.of(key) == list(attempts)


async def test_a_stop_does_not_wait_for_a_key_that_does_and_the_next_process_goes_on_in_order(config, stored):
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        calls.append((f"{order.order_id}{order.cents}", context.delivery.attempt))
        if len(calls) == 1:
            raise Retry(after=30)

    transports = MemoryTransports()
    with_retry(config, retry={"attempts": 9})
    config["stop"] = {"grace": "30s"}
    async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
        await out.publish_many(orders("a1", "a2", "b1"))
        begin = asyncio.get_running_loop().time()
        async with Bus(service, config, transports=transports) as stock:
            await until(lambda: len(calls) == 2)
        assert asyncio.get_running_loop().time() - begin < 15
        assert stock.counts["reserve"].released >= 1
        async with Bus(service, config, transports=transports) as stock:
            await until(lambda: stock.counts["reserve"].handled >= 2)
    again = 2 if stored else 1  # a store knows how often it was tried
    assert [each for each in calls if each[0][0] == "a"] == [("a1", 1), ("a1", again), ("a2", 1)]


async def test_a_message_that_waits_is_given_back_when_its_session_goes(config):
    """Another member is to have it, now: this one's delay is nothing to wait for."""
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        calls.append(order.cents)
        if len(calls) == 1:
            raise Retry(after=30)

    transports = MemoryTransports()
    with_retry(config)
    async with (
        Bus(Service("out", publishes=[Placed]), config, transports=transports) as out,
        Bus(service, config, transports=transports) as stock,
    ):
        await out.publish_many(orders("a1", "a2"))
        await until(lambda: calls == [1])
        for broker in transports.brokers.values():
            broker.sever()
        await until(lambda: stock.counts["reserve"].handled == 2)
    assert calls == [1, 1, 2]


async def test_what_stands_behind_a_key_that_waits_is_more_than_the_window(config):
    """T17: the message that waits uses up one place of the window, not all of it."""
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a1" and len(seen.of("b")) < 40:
            raise Retry(after=0.05)

    async with harness(service, config=with_retry(config, retry={"attempts": 99}, prefetch=5)) as bus:
        await bus.publish_many(orders("a1", *(f"b{number}" for number in range(40)), "a2"))
        await bus.settled()
    assert seen.of("b") == [(f"b{number}", 1) for number in range(40)]
    assert [called for called, _ in seen[-2:]] == ["a1", "a2"]
