"""A database that is away, in the way, or silent: nothing is dead-lettered for it, and nothing happens twice."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from unittest.mock import patch

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from busbridge import Context
from busbridge.errors import CommitUnknown, StoreContention, StoreError, StoreUnavailable
from busbridge.runtime.effects import _effects
from busbridge.store import Transaction
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import make_tables, stock_service, until, with_store, write, written


class Trouble:
    """Makes the transactions of a store fail; those of handlers alone, which ask for the inbox."""

    def __init__(self, bus):
        self.store = bus._storing.store
        self.before: list[Exception] = []
        """Raised instead of a transaction."""
        self.at_end: list[Exception] = []
        """Raised in the place of COMMIT, once the block has ended."""
        self.after: list[Exception] = []
        """Raised after COMMIT."""
        self._transaction = self.store.transaction
        self.store.transaction = self.transaction

    @asynccontextmanager
    async def transaction(self, **options):
        async with self._transaction(**options) as inner:
            asked = []
            inbox = inner.inbox

            async def counted(keys):
                asked.append(True)
                if self.before:
                    raise self.before.pop()
                return await inbox(keys)

            inner.inbox = counted
            yield inner
            if asked and self.at_end:
                raise self.at_end.pop()
        if asked and self.after:
            raise self.after.pop()


@pytest.fixture
def flow(config, monkeypatch):
    """A service whose handler writes and publishes, and the attempts that it saw."""
    monkeypatch.setattr(_effects, "_LONGEST_WAIT", 0.01)
    service, reserve = stock_service()
    attempts: dict[str, list[int]] = {}

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        attempts.setdefault(order.order_id, []).append(context.delivery.attempt)
        await write(order.order_id, context)
        context.publish(Reserved(order_id=order.order_id))

    return service, with_store(config), attempts


AWAY = StoreUnavailable("the database", "gone")
MET = StoreContention("the database", "deadlock")
ORDERS = [Placed(order_id=each) for each in ("m1", "m2", "m3")]


async def handled(flow, trouble):
    """What came to be of three messages, and the counts."""
    service, config, _ = flow
    async with harness(service, config=config, raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        trouble(Trouble(stock))
        await bus.publish_many(ORDERS)
        await bus.settled()
        await stock._storing.relay.idle()
        return await written(stock), [each.order_id for each in bus.published(Reserved)], stock.counts["reserve"]


@pytest.mark.parametrize("point", ["before", "at_end"])
async def test_a_database_that_is_away_is_waited_for_and_counts_no_attempt(flow, point):
    rows, published, counts = await handled(flow, lambda trouble: getattr(trouble, point).extend([AWAY] * 3))
    assert rows == published == ["m1", "m2", "m3"]
    assert (counts.handled, counts.dead.total(), counts.released) == (3, 0, 0)
    assert set(flow[2]["m1"]) == {1}


async def test_a_commit_whose_answer_is_lost_is_asked_of_the_inbox(flow):
    lost = CommitUnknown("the database", "cut")
    service, config, attempts = flow
    async with harness(service, config=config) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        Trouble(stock).after.append(lost)
        await bus.publish_many(ORDERS)
        await bus.settled()
        await stock._storing.relay.idle()
        assert await written(stock) == ["m1", "m2", "m3"]
        assert stock._storing.relay.published == 6, "two destinations each, once"
        assert stock.counts["reserve"].duplicate == 3
    assert attempts == {"m1": [1], "m2": [1], "m3": [1]}


async def test_after_meeting_another_transaction_messages_go_one_by_one_and_no_attempt_is_counted(flow):
    rows, published, counts = await handled(flow, lambda trouble: trouble.at_end.extend([MET] * 4))
    assert rows == published == ["m1", "m2", "m3"]
    assert counts.handled == 3
    assert set(flow[2]["m1"]) == {1}


async def test_a_message_that_always_meets_another_transaction_fails_in_the_end_and_the_others_go_on(flow):
    def always(trouble):
        inner = trouble.transaction

        @asynccontextmanager
        async def meeting(**options):
            async with inner(**options) as transaction:
                put = transaction.put_inbox

                async def refused(rows):
                    rows = list(rows)
                    if any(row.key.message_id == "m2" and row.state == "handled" for row in rows):
                        raise MET
                    await put(rows)

                transaction.put_inbox = refused
                yield transaction

        trouble.store.transaction = meeting

    service, config, attempts = flow
    config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {"attempts": 1}
    async with harness(service, config=config, raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        always(Trouble(stock))
        for each in ORDERS:
            await bus.publish(each, message_id=each.order_id)
        await bus.settled()
        assert await written(stock) == ["m1", "m3"]
        assert [each.error for each in bus.dead] == [MET]
    assert len(attempts["m2"]) >= 10


async def test_a_transaction_that_a_handler_has_broken_is_that_messages_failure(flow):
    """A statement failed and the handler went on: the database refuses the rest."""
    broken = StoreError("the database", "current transaction is aborted")
    rows, published, counts = await handled(flow, lambda trouble: trouble.at_end.extend([broken] * 2))
    assert rows == published == ["m1", "m2", "m3"]
    assert counts.handled == 3
    assert flow[2] == {"m1": [1, 1, 2], "m2": [1, 1], "m3": [1, 1]}, "one by one: the first is to blame"


@pytest.mark.parametrize("immediate", [1, 2, 3])
async def test_a_message_that_breaks_every_transaction_dies_after_its_attempts_and_the_others_are_handled(
    config, immediate
):
    """A handler that swallows an error which has ended the transaction: nothing of it can be committed, ever."""
    service, reserve = stock_service()
    attempts = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        if order.order_id == "m2":
            attempts.append(context.delivery.attempt)
            with suppress(IntegrityError):
                await context.connection.execute(text("INSERT OR ROLLBACK INTO ledger (id, order_id) VALUES (1, 'x')"))

    config = with_store(config, attempts=4, immediate=immediate, first="10ms", backoff="fixed")
    async with harness(service, config=config, raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        for each in ORDERS:
            await bus.publish(each)
            await until(lambda: stock.counts["reserve"].handled)
        await bus.advance(1)
        await bus.settled()
        await until(lambda: stock.counts["reserve"].dead)
        assert await written(stock) == ["m1", "m3"]
        assert stock.counts["reserve"].dead == {"failed": 1}
    assert list(dict.fromkeys(attempts)) == [1, 2, 3, 4]


async def test_a_deadlock_of_a_handlers_own_statement_is_no_failure_of_the_handler(config, monkeypatch):
    monkeypatch.setattr(_effects, "_LONGEST_WAIT", 0.01)
    service, reserve = stock_service()
    attempts = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        await write(order.order_id, context)
        if len(attempts) == 1:
            raise OperationalError("UPDATE", {}, Deadlock())

    async with harness(service, config=with_store(config)) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert await written(bus.bus("stock")) == ["7"]
    assert attempts == [1, 1]


async def test_a_connection_that_goes_under_a_handler_is_no_failure_of_the_handler(config):
    """Whatever the handler makes of it."""
    service, reserve = stock_service()
    attempts = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        await write(order.order_id, context)
        if len(attempts) == 1:
            raise LookupError("shelf")

    config = with_store(config, attempts=1)
    async with harness(service, config=config) as bus:
        await make_tables(bus.bus("stock"))
        with patch.object(Transaction, "now", side_effect=[AWAY]):
            await bus.publish(Placed(order_id="7"))
            await bus.settled()
        assert await written(bus.bus("stock")) == ["7"]
        assert bus.bus("stock").counts["reserve"].repeated == 0
    assert attempts == [1, 1]


class Deadlock(Exception):
    sqlstate = "40P01"


async def test_a_message_that_goes_to_another_worker_does_not_wait_for_this_ones_database(config):
    """A partition that is revoked would be held for as long as the database is away."""
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        seen.append(order.order_id)

    async with harness(service, config=with_store(config)) as bus:
        stock = bus.bus("stock")
        trouble = Trouble(stock)
        trouble.before.extend([AWAY] * 50)
        counts, source = stock.counts["reserve"], stock._workers["reserve"]._sources[0]
        await bus.publish(Placed(order_id="7"))
        await until(lambda: len(trouble.before) < 50)
        source.sever()
        await until(lambda: counts.released)
        assert trouble.before, "the database is still away"
        trouble.before.clear()
        await bus.settled()
        assert counts.handled == 1
    assert seen == ["7"]
