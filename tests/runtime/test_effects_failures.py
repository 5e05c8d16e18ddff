"""What fails with a store: each message for itself, at once and later, and how it dies."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from busbridge import Bus, Context, Service
from busbridge.outbox import _seams
from busbridge.retry import read_record
from busbridge.runtime import MemoryTransports
from busbridge.runtime.effects._effects import Effects
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import make_tables, stock_service, until, with_store, write, written


@pytest.fixture
def transactions(monkeypatch):
    """How often a transaction of handlers was begun so far."""
    seen = []
    monkeypatch.setattr(_seams, "hook", lambda name: seen.append(name) if name == "in_transaction" else None)
    return seen


@pytest.fixture
def drawn(monkeypatch):
    """What the jitter of delays was drawn between; it is always the least."""
    drawn = []

    def least(low, high):
        drawn.append((low, high))
        return low

    monkeypatch.setitem(Effects.__init__.__kwdefaults__, "between", least)
    return drawn


def failing(reserve, *order_ids, times=1):
    """A handler that writes, publishes, and then fails as often for these; the attempts that it saw, by order."""
    attempts: dict[str, list[int]] = {}

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        seen = attempts.setdefault(order.order_id, [])
        seen.append(context.delivery.attempt)
        await write(order.order_id, context)
        context.publish(Reserved(order_id=order.order_id))
        if order.order_id in order_ids and len(seen) <= times:
            raise RuntimeError(order.order_id)

    return attempts


async def test_a_message_that_fails_in_a_transaction_is_handled_later_and_the_others_effects_stay_once(
    config, transactions
):
    """T1: were the inbox rows of all written alike, the failed one would count as handled and be lost."""
    service, reserve = stock_service()
    attempts = failing(reserve, "m2")
    async with harness(service, config=with_store(config, attempts=2, first="20ms")) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many(Placed(order_id=each) for each in ("m1", "m2", "m3"))
        await bus.settled()
        assert len(transactions) == 3, "the three together, again with savepoints, then the one that failed"
        assert await written(stock) == ["m1", "m3", "m2"]
        assert [each.order_id for each in bus.published(Reserved)] == ["m1", "m3", "m2"]
        counts = stock.counts["reserve"]
        assert (counts.handled, counts.scheduled, counts.dead.total()) == (3, 1, 0)
    assert attempts == {"m1": [1, 1], "m2": [1, 2], "m3": [1]}, "m1's first call was undone with m2's: no attempt"


@pytest.mark.parametrize("poison", ["m1", "m2", "m3"])
async def test_a_message_that_dies_takes_nothing_of_the_others_with_it(config, poison):
    service, reserve = stock_service()
    failing(reserve, poison, times=9)
    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        ids = await bus.publish_many(Placed(order_id=each) for each in ("m1", "m2", "m3"))
        await bus.settled()
        others = [each for each in ("m1", "m2", "m3") if each != poison]
        assert await written(stock) == others
        assert [each.order_id for each in bus.published(Reserved)] == others
        assert [each.message_id for each in bus.dead] == [ids[int(poison[1]) - 1]]


async def test_attempts_follow_at_once_then_by_timers_whose_delays_grow(config, drawn):
    service, reserve = stock_service()
    attempts = failing(reserve, "7", times=4)
    retry = {"attempts": 5, "immediate": 2, "first": "20ms", "max": "100ms"}
    async with harness(service, config=with_store(config, **retry)) as bus:
        await make_tables(bus.bus("stock"))
        begin = asyncio.get_running_loop().time()
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert asyncio.get_running_loop().time() - begin >= 0.06
        assert await written(bus.bus("stock")) == ["7"]
        assert bus.bus("stock").counts["reserve"].scheduled == 3
    assert attempts == {"7": [1, 2, 3, 4, 5]}
    assert drawn == [(0.02, 0.04), (0.02, 0.08), (0.02, 0.1)]


async def test_a_message_that_dies_by_its_timer_is_a_dead_letter_with_its_record(config, drawn, tmp_path):
    service, reserve = stock_service()
    failing(reserve, "7", times=9)
    transports = MemoryTransports()
    with_store(config, f"sqlite:///{tmp_path}/stock.db", attempts=2, first="10ms")
    async with Bus(service, config, transports=transports) as stock:
        await make_tables(stock)
        async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
            await out.publish(Placed(order_id="7"), headers={"region": "eu"})
        broker, plan = transports.brokers["rabbit"], stock.plans["reserve"]
        await until(lambda: broker.dead_letters(plan))
        (letter,) = broker.dead_letters(plan)
        record = read_record(letter.body, letter.headers)
        assert (record.reason, record.error, record.attempts) == ("failed", "7", 2)
        assert ("region", "eu") in record.headers
        assert Placed.model_validate_json(letter.body) == Placed(order_id="7")
        assert await written(stock) == []


async def test_a_second_copy_of_a_message_that_waits_for_its_timer_is_a_duplicate(config, drawn):
    service, reserve = stock_service()
    attempts = failing(reserve, "7")
    async with harness(service, config=with_store(config, attempts=2, first="200ms")) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        message_id = await bus.publish(Placed(order_id="7"))
        await until(lambda: stock.counts["reserve"].scheduled)
        await bus.redeliver(message_id)
        await bus.settled()
        counts = stock.counts["reserve"]
        assert (counts.duplicate, counts.handled) == (1, 1)
        assert await written(stock) == ["7"]
    assert attempts == {"7": [1, 2]}


async def test_an_attempt_that_waits_survives_the_process(config, drawn, tmp_path):
    service, reserve = stock_service()
    attempts = failing(reserve, "7")
    transports = MemoryTransports()
    with_store(config, f"sqlite:///{tmp_path}/stock.db", attempts=2, first="300ms")
    async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
        async with Bus(service, config, transports=transports) as first:
            await make_tables(first)
            await out.publish(Placed(order_id="7"))
            await until(lambda: first.counts["reserve"].scheduled)
        async with Bus(service, config, transports=transports) as second:
            await until(lambda: second.counts["reserve"].handled)
            assert await written(second) == ["7"]
    assert attempts == {"7": [1, 2]}


async def test_two_copies_in_one_transaction_are_one_effect(config, transactions):
    service, reserve = stock_service()
    failing(reserve)
    async with harness(service, config=with_store(config)) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.settled()
        await asyncio.gather(*(bus.publish(Placed(order_id="8"), message_id="8") for _ in range(3)))
        await bus.redeliver(message_id)
        await bus.settled()
        assert await written(stock) == ["7", "8"]
        assert stock.counts["reserve"].duplicate == 3


async def test_a_handler_that_is_cut_off_leaves_nothing_and_its_message_comes_back_uncounted(config, tmp_path):
    """A stop in the middle of a transaction: what was done in it for others is not committed either, nor settled."""
    config["stop"] = {"grace": "10ms"}
    transports = MemoryTransports()
    with_store(config, f"sqlite:///{tmp_path}/stock.db")
    service, reserve = stock_service()
    hangs, stops = asyncio.Event(), list(range(5))  # more often than a message may crash

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        if order.order_id == "m2" and stops:
            hangs.set()
            await asyncio.get_running_loop().create_future()

    async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
        while stops:
            async with Bus(service, config, transports=transports) as stock:
                if len(stops) == 5:
                    await make_tables(stock)
                    await out.publish_many(Placed(order_id=each) for each in ("m1", "m2"))
                await asyncio.wait_for(hangs.wait(), 5)
                hangs.clear()
            stops.pop()
            assert stock.counts["reserve"].dead.total() == 0
            with sqlite3.connect(tmp_path / "stock.db") as database:
                assert database.execute("SELECT order_id FROM ledger WHERE order_id = 'm2'").fetchall() == []
            database.close()
        async with Bus(service, config, transports=transports) as stock:
            await until(lambda: transports.brokers["rabbit"].outstanding == 0)
            assert sorted(await written(stock)) == ["m1", "m2"]
            assert stock.counts["reserve"].dead.total() == 0


async def test_a_graceful_stop_finishes_the_transaction_that_has_begun(config, tmp_path):
    transports = MemoryTransports()
    with_store(config, f"sqlite:///{tmp_path}/stock.db")
    service, reserve = stock_service()
    began, proceed = asyncio.Event(), asyncio.Event()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        began.set()
        await proceed.wait()
        await write(order.order_id, context)

    async with Bus(Service("out", publishes=[Placed]), config, transports=transports) as out:
        async with Bus(service, config, transports=transports) as stock:
            await make_tables(stock)
            await out.publish_many(Placed(order_id=each) for each in ("m1", "m2"))
            await began.wait()
            asyncio.get_running_loop().call_later(0.05, proceed.set)
        counts = stock.counts["reserve"]
        assert (counts.handled, counts.released) == (2, 0)
        with sqlite3.connect(tmp_path / "stock.db") as database:
            assert database.execute("SELECT order_id FROM ledger").fetchall() == [("m1",), ("m2",)]
        database.close()
