"""Publishing later: from handlers, from blocks, at once; taken back; and in a test, without waiting for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from busbridge import BlockingBus, Bus, ConfigurationError, Contract, HandlerError, Service
from busbridge.errors import ClosedError
from busbridge.runtime import MemoryTransports
from busbridge.store._inline_sqlite import use_inline_sqlite
from busbridge.testing import NotSettled, RecordingContext, harness

if TYPE_CHECKING:
    from busbridge import Context


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


class Paid(Contract, name="shop.paid", version=1, key="order_id"):
    order_id: str


class Reminder(Contract, name="shop.reminder", version=1, key="order_id"):
    order_id: str


HOUR = 3600.0


def config(url="sqlite:///unused.db", **retry):
    store = {"store": {"url": url}} if url else {}
    return {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"orders": {"kind": "queue", "transport": "broker"}},
        "routes": {each: {"to": "orders"} for each in ("shop.placed", "shop.paid", "shop.reminder")},
        "services": {"shop": {**store, "subscriptions": {"work": {"from": "orders", "retry": retry}}}},
    }


class Shop:
    """A service that reminds of what was not paid within an hour."""

    def __init__(self):
        self.service = Service("shop", publishes=[Placed, Reminder])
        self.reminded = []
        self.reminders = {}
        work = self.service.subscription("work")
        work.handles(Placed, name="place")(self._place)
        work.handles(Paid, name="pay")(self._pay)
        work.handles(Reminder, name="remind")(self._remind)

    async def _place(self, order: Placed, context: Context) -> None:
        self.reminders[order.order_id] = context.publish(Reminder(order_id=order.order_id), delay=HOUR)

    async def _pay(self, paid: Paid, context: Context) -> None:
        assert await context.cancel(self.reminders[paid.order_id])

    async def _remind(self, reminder: Reminder, context: Context) -> None:
        self.reminded.append((reminder.order_id, context.message_id))


async def test_a_handler_publishes_later_and_nobody_waits_for_it():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        await bus.publish(Placed(order_id="1"))
        await bus.settled()
        (scheduled,) = await bus.bus("shop").scheduled()
        assert (scheduled.contract, scheduled.destinations) == ("shop.reminder", ("orders",))
        assert timedelta(minutes=59) < scheduled.due - datetime.now(UTC) <= timedelta(hours=1)
        assert bus.published(Reminder) == []
        await bus.advance(HOUR)
        await bus.settled()
        assert shop.reminded == [("1", shop.reminders["1"])]
        assert bus.published(Reminder) == [Reminder(order_id="1")]
        assert await bus.bus("shop").scheduled() == []


async def test_a_handler_takes_back_what_another_one_was_to_publish():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        for order in ("1", "2"):
            await bus.publish(Placed(order_id=order))
        await bus.settled()
        await bus.publish(Paid(order_id="1"))
        await bus.settled()
        await bus.advance(HOUR)
        await bus.settled()
        assert [order for order, _ in shop.reminded] == ["2"]


async def test_what_a_handler_that_raised_has_scheduled_and_taken_back_is_as_it_was():
    service = Service("shop", publishes=[Reminder])
    kept = []

    @service.subscription("work").handles(Placed)
    async def fail(order: Placed, context: Context) -> None:
        context.publish(Reminder(order_id=order.order_id), delay=HOUR)
        assert await context.cancel(kept[0])
        raise ZeroDivisionError

    async with harness(service, config=config(attempts=2), raise_failures=False) as bus:
        kept.append(await bus.bus("shop").publish(Reminder(order_id="kept"), delay=HOUR))
        await bus.publish(Placed(order_id="1"))
        await bus.settled()
        assert [each.id for each in await bus.bus("shop").scheduled()] == kept


async def test_a_handler_takes_back_what_it_has_just_scheduled():
    service = Service("shop", publishes=[Reminder])

    @service.subscription("work").handles(Placed)
    async def handle(order: Placed, context: Context) -> None:
        message_id = context.publish(Reminder(order_id=order.order_id), delay=HOUR)
        assert await context.cancel(message_id)
        assert not await context.cancel(message_id)

    async with harness(service, config=config()) as bus:
        await bus.publish(Placed(order_id="1"))
        await bus.settled()
        assert await bus.bus("shop").scheduled() == []


async def test_a_message_that_comes_twice_schedules_once():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        message_id = await bus.publish(Placed(order_id="1"))
        await bus.settled()
        await bus.redeliver(message_id)
        await bus.settled()
        assert len(await bus.bus("shop").scheduled()) == 1


async def test_a_time_that_is_long_past_is_at_once():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        await bus.bus("shop").publish(Reminder(order_id="1"), at=datetime(2000, 1, 1, tzinfo=UTC), message_id="mine")
        await bus.advance(0)
        await bus.settled()
        assert shop.reminded == [("1", "mine")]


async def test_published_later_from_a_bus_is_cancelled_by_its_id_once():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        message_id = await bus.bus("shop").publish(Reminder(order_id="1"), delay=timedelta(hours=1))
        assert await bus.bus("shop").cancel(message_id)
        assert not await bus.bus("shop").cancel(message_id)
        assert not await bus.bus("shop").cancel("no such message")
        await bus.advance(HOUR)
        await bus.settled()
        assert shop.reminded == []


async def test_a_block_schedules_and_takes_back_with_its_rows_or_not_at_all():
    shop = Shop()
    async with harness(shop.service, config=config()) as bus:
        opened = bus.bus("shop")
        kept = await opened.publish(Reminder(order_id="kept"), delay=HOUR)
        with pytest.raises(ZeroDivisionError):
            async with opened.transaction() as tx:
                tx.publish(Reminder(order_id="1"), delay=HOUR)
                assert await tx.cancel(kept)
                raise ZeroDivisionError
        assert [each.id for each in await opened.scheduled()] == [kept]
        async with opened.transaction() as tx:
            message_id = tx.publish(Reminder(order_id="2"), delay=HOUR)
            assert await tx.cancel(tx.publish(Reminder(order_id="3"), delay=HOUR))
            assert await tx.cancel(kept)
        assert [each.id for each in await opened.scheduled()] == [message_id]


async def test_a_session_of_ones_own_schedules_when_it_commits(tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = create_async_engine(url.replace("sqlite", use_inline_sqlite(), 1))
    shop = Shop()
    async with Bus(shop.service, config(url), transports=MemoryTransports()) as bus:
        async with AsyncSession(engine) as session:
            async with bus.outbox(session) as tx:
                tx.publish(Reminder(order_id="1"), delay=HOUR)
            await session.rollback()
            async with bus.outbox(session) as tx:
                message_id = tx.publish(Reminder(order_id="2"), delay=HOUR)
            await session.commit()
        assert [each.id for each in await bus.scheduled()] == [message_id]
    await engine.dispose()


async def test_a_session_of_ones_own_takes_back_when_it_commits(tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = create_async_engine(url.replace("sqlite", use_inline_sqlite(), 1))
    async with Bus(Shop().service, config(url), transports=MemoryTransports()) as bus:
        kept, gone = [await bus.publish(Reminder(order_id=each), delay=HOUR) for each in "12"]
        async with AsyncSession(engine) as session:
            async with bus.outbox(session) as tx:
                tx.cancel(kept)
            await session.rollback()
            async with bus.outbox(session) as tx:
                tx.cancel(gone)
                tx.cancel(tx.publish(Reminder(order_id="3"), delay=HOUR))
                tx.cancel("no such message")
                moved = tx.publish(Reminder(order_id="2"), message_id=gone, delay=2 * HOUR)
            await session.commit()
        assert [each.id for each in await bus.scheduled()] == [kept, moved]
        with pytest.raises(ClosedError):
            tx.cancel(kept)
    await engine.dispose()


def test_threads_schedule_list_and_take_back(tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = create_engine(url)
    with BlockingBus(Shop().service, config(url), transports=MemoryTransports()) as bus:
        first = bus.publish(Reminder(order_id="1"), delay=HOUR)
        with bus.transaction() as tx:
            second = tx.publish(Reminder(order_id="2"), delay=2 * HOUR)
        with Session(engine) as session:
            with bus.outbox(session) as tx:
                third = tx.publish(Reminder(order_id="3"), delay=3 * HOUR)
            session.commit()
        assert [each.id for each in bus.scheduled()] == [first, second, third]
        assert bus.cancel(first)
        assert [each.id for each in bus.scheduled(limit=1)] == [second]
        with bus.transaction() as tx:
            tx.cancel(second)
        with Session(engine) as session:
            with bus.outbox(session) as tx:
                tx.cancel(third)
            session.commit()
        assert bus.scheduled() == []
    engine.dispose()


async def test_without_a_store_nothing_can_be_published_later_and_the_error_says_what_to_add():
    service = Service("shop", publishes=[Reminder])

    @service.subscription("work").handles(Placed)
    async def handle(order: Placed, context: Context) -> None:
        with pytest.raises(HandlerError, match="has no store"):
            await context.cancel("m1")
        context.publish(Reminder(order_id=order.order_id), delay=HOUR)

    async with harness(service, config=config(None, attempts=1), raise_failures=False) as bus:
        await bus.publish(Placed(order_id="1"))
        await bus.settled()
        assert isinstance(bus.dead[0].error, HandlerError)
        assert "add services.shop.store" in str(bus.dead[0].error)
        with pytest.raises(ConfigurationError, match=r"add services\.shop\.store"):
            await bus.bus("shop").publish(Reminder(order_id="1"), delay=HOUR)


async def test_advancing_brings_the_attempts_that_wait_too():
    attempts = []
    service = Service("shop")

    @service.subscription("work").handles(Placed)
    async def fail_once(_: Placed, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        if len(attempts) == 1:
            raise ZeroDivisionError

    async with harness(service, config=config(attempts=2, first="1h", max="1h", backoff="fixed")) as bus:
        await bus.publish(Placed(order_id="1"))
        with pytest.raises(NotSettled):
            await bus.settled(seconds=0.1)
        await bus.advance(HOUR)
        await bus.settled()
    assert attempts == [1, 2]


async def test_a_recording_context_keeps_what_is_scheduled_apart():
    context = RecordingContext()
    message_id = context.publish(Reminder(order_id="1"), delay=1)
    assert (context.published, context.scheduled) == ([], {message_id: Reminder(order_id="1")})
    assert await context.cancel(message_id)
    assert not await context.cancel(message_id)
