"""Handlers are called without savepoints: when one fails, its transaction is undone, and done again with them."""

from __future__ import annotations

import pytest

from busbridge.runtime.effects._caution import Caution
from busbridge.store._sqlite import SQLiteStatements
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import attempts_at_once, make_tables, stock_service, with_store, written
from tests.runtime.test_effects_failures import failing


@pytest.fixture
def savepoints(monkeypatch):
    """Each savepoint that was set."""
    seen = []
    inner = SQLiteStatements.savepoint

    async def savepoint(self):
        seen.append(self)
        await inner(self)

    monkeypatch.setattr(SQLiteStatements, "savepoint", savepoint)
    return seen


async def test_handlers_that_succeed_need_no_savepoint(config, savepoints):
    service, reserve = stock_service()
    failing(reserve)
    async with harness(service, config=with_store(config)) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish_many(Placed(order_id=f"m{number}") for number in range(20))
        await bus.settled()
        assert len(await written(bus.bus("stock"))) == 20
    assert not savepoints


async def test_what_failed_is_not_called_again_for_the_attempt_that_was_undone(config):
    """The call of m2 has happened and is its first attempt. Those before it are called again, those behind not."""
    service, reserve = stock_service()
    attempts = failing(reserve, "m2", times=9)
    async with harness(service, config=with_store(config, **attempts_at_once(1)), raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many(Placed(order_id=each) for each in ("m1", "m2", "m3"))
        await bus.settled()
        assert await written(stock) == ["m1", "m3"]
        assert stock.counts["reserve"].dead.total() == 1
    assert attempts == {"m1": [1, 1], "m2": [1], "m3": [1]}


async def test_attempts_that_follow_at_once_go_on_from_the_one_that_was_undone(config):
    service, reserve = stock_service()
    attempts = failing(reserve, "m2", times=2)
    async with harness(service, config=with_store(config, **attempts_at_once(3))) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many(Placed(order_id=each) for each in ("m1", "m2"))
        await bus.settled()
        assert await written(stock) == ["m1", "m2"]
        assert stock.counts["reserve"].repeated == 1 + 1
    assert attempts == {"m1": [1, 1], "m2": [1, 2, 3]}


async def test_what_a_handler_published_that_was_undone_goes_out_once(config):
    service, reserve = stock_service()
    failing(reserve, "m3")
    async with harness(service, config=with_store(config, **attempts_at_once(2))) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish_many(Placed(order_id=each) for each in ("m1", "m2", "m3"))
        await bus.settled()
        assert [each.order_id for each in bus.published(Reserved)] == ["m1", "m2", "m3"]


def test_the_longer_handlers_fail_the_longer_savepoints_are_used():
    caution = Caution()

    def transactions_with_savepoints():
        caution.failed()
        count = 0
        while not caution.bare(()):
            count += 1
        return count

    assert caution.bare(())
    assert [transactions_with_savepoints() for _ in range(3)] == [2, 7, 27]
    for _ in range(200):
        assert caution.bare(())
    assert transactions_with_savepoints() == 2, "forgiven"
