"""Keys that are parked in the store while a message of them is tried again: order, deaths, and who goes on (T17)."""

from __future__ import annotations

import asyncio
import random

import pytest

from busbridge import Bus, Context, Contract, Reject, Retry, Service
from busbridge.runtime import MemoryTransports
from busbridge.runtime.effects import _unit
from busbridge.runtime.effects._effects import Effects
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import make_tables, stock_service, until, with_store, write, written
from tests.runtime.test_blocking_keys import Seen, orders, with_retry

RETRY = {"attempts": 4, "immediate": 1, "first": "60ms", "backoff": "fixed"}


@pytest.fixture(params=["queue", "stream"], autouse=True)
def place(request, config, tmp_path):
    """An ordered queue and a stream, of one shard or partition."""
    ordered = {"kind": "queue", "transport": "rabbit", "ordered": "true", "partitions": 1}
    stream = {"kind": "stream", "transport": "log", "partitions": 1}
    config["destinations"]["orders"] = ordered if request.param == "queue" else stream
    with_store(with_retry(config, retry=RETRY, on_failure="park_key"), f"sqlite:///{tmp_path}/stock.db")


async def parked(bus):
    """How many messages the store has in lines."""
    async with bus._storing.store.transaction() as transaction:
        rows = await transaction.connection.exec_driver_sql("SELECT count(*) FROM busbridge_parked")
        return rows.scalar_one()


async def test_a_key_is_parked_while_a_message_of_it_waits_and_others_go_on(config):
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a2" and context.delivery.attempt < 3:
            raise RuntimeError
        await write(f"{order.order_id}{order.cents}", context)

    async with harness(service, config=config) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many(orders("a1", "a2", "a3", "b1", "a4", "b2"))
        await bus.settled()
        counts = stock.counts["reserve"]
        assert (counts.scheduled, counts.parked, counts.handled) == (2, 2, 6)
        assert await parked(stock) == 0
        assert [each for each in await written(stock) if each[0] == "a"] == ["a1", "a2", "a3", "a4"]
    assert seen.of("a") == [("a1", 1), ("a2", 1), ("a2", 2), ("a2", 3), ("a3", 1), ("a4", 1)]
    assert seen.index(("b2", 1)) < seen.index(("a2", 2)), "b waited for a"


async def test_what_comes_while_a_key_is_drained_joins_its_end(config):
    service, reserve = stock_service()
    seen = Seen()
    coming = asyncio.Event()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        called = seen.note(order, context)
        if called == "a1" and context.delivery.attempt == 1:
            raise RuntimeError
        if called == "a2":
            coming.set()
            await asyncio.sleep(0.03)

    async with harness(service, config=config) as bus:
        await bus.publish_many(orders("a1", "a2", "a3"))
        await asyncio.wait_for(coming.wait(), 10)
        await bus.publish_many(orders("a4", "a5"))
        await bus.settled()
        assert await parked(bus.bus("stock")) == 0
    assert [called for called, _ in seen] == ["a1", "a1", "a2", "a3", "a4", "a5"]


@pytest.mark.parametrize("end", [RuntimeError(), Reject("no")], ids=["after its attempts", "at once"])
async def test_a_parked_message_that_dies_lets_the_next_one_come(config, end):
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) in {"a1", "a2"}:
            raise Retry(after=0.01) if context.delivery.attempt == 1 else end

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish_many(orders("a1", "a2", "a3"))
        await bus.settled()
        assert await parked(bus.bus("stock")) == 0
        assert len(bus.dead) == 2
    assert list(dict.fromkeys(called for called, _ in seen)) == ["a1", "a2", "a3"]


async def test_a_parked_message_that_is_discarded_lets_the_next_one_come(config):
    service, reserve = stock_service()
    stale = []

    @reserve.handles(Placed, discard={"stale": lambda order: order.cents in stale})
    async def handler(order: Placed, context: Context) -> None:
        if order.cents == 1:
            stale.extend((1, 2))
            raise Retry(after=0.01)
        context.publish(Reserved(order_id=f"{order.cents}"))

    async with harness(service, config=config) as bus:
        await bus.publish_many(orders("a1", "a2", "a3"))
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="3")]
        assert bus.bus("stock").counts["reserve"].discarded == {"stale": 2}
        assert await parked(bus.bus("stock")) == 0


async def test_any_number_of_failures_leaves_each_parked_key_in_order(config):
    service, reserve = stock_service()
    chance = random.Random(7)
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
        for number in range(8):
            await bus.publish_many(orders(*(f"{key}{number}" for key in "abc")))
            await asyncio.sleep(chance.choice((0, 0.05)))
        await bus.settled()
        assert await parked(bus.bus("stock")) == 0
    for key in "abc":
        names = [f"{key}{number}" for number in range(8)]
        attempts = ((each, attempt + 1) for each in names for attempt in range(min(planned[each] + 1, 3)))
        assert seen.of(key) == list(attempts)


async def test_a_parked_key_survives_the_process_and_a_copy_of_what_is_parked_is_a_duplicate(config):
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a1" and context.delivery.attempt == 1:
            raise Retry(after=0.4)

    transports = MemoryTransports()
    async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
        async with Bus(service, config, transports=transports) as first:
            for order in orders("a1", "a2"):
                await out.publish(order, message_id=f"id{order.cents}")
            await until(lambda: first.counts["reserve"].parked == 1)
            for order in orders("a1", "a2"):
                await out.publish(order, message_id=f"id{order.cents}")
            await until(lambda: first.counts["reserve"].duplicate == 2)
        async with Bus(service, config, transports=transports) as second:
            await out.publish(*orders("a3"))
            await until(lambda: second.counts["reserve"].handled == 3)
    assert seen == [("a1", 1), ("a1", 2), ("a2", 1), ("a3", 1)]


async def test_a_key_that_would_block_for_too_long_is_parked_instead(config, monkeypatch):
    """Brokers don't wait for ever: after five minutes what blocks is in the store."""
    monkeypatch.setattr(_unit, "LONGEST_BLOCK", 0.1)
    service, reserve = stock_service()
    seen = Seen()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if seen.note(order, context) == "a1" and context.delivery.attempt < 4:
            raise RuntimeError

    monkeypatch.setitem(Effects.__init__.__kwdefaults__, "between", lambda least, _: least)
    with_retry(config, on_failure="block", retry={"attempts": 14, "immediate": 1, "first": "40ms", "max": "400s"})
    async with harness(service, config=config) as bus:
        await bus.publish_many(orders("a1", "a2"))
        await bus.settled()
        counts = bus.bus("stock").counts["reserve"]
        assert counts.blocked + counts.scheduled == 3
        assert counts.blocked >= 1
        assert counts.scheduled >= 1
    assert seen == [("a1", 1), ("a1", 2), ("a1", 3), ("a1", 4), ("a2", 1)]


class Noted(Contract, name="shop.noted", version=1):
    number: int


async def test_messages_without_a_key_have_no_order_and_wait_by_themselves(config):
    config["routes"]["shop.noted"] = {"to": "orders"}
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Noted)
    async def handler(noted: Noted, context: Context) -> None:
        if noted.number == 1 and context.delivery.attempt == 1:
            raise Retry(after=0.05)
        seen.append(noted.number)

    async with harness(service, config=config) as bus:
        await bus.publish_many(Noted(number=number) for number in (1, 2, 3))
        await bus.settled()
        assert bus.bus("stock").counts["reserve"].scheduled == 1
    assert seen == [2, 3, 1]
