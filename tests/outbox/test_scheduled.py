"""Messages that are to be published later: kept among the timers, moved to the outbox when they are due."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from busbridge.outbox import Moment, Releasing, moment, scheduled_place, to_scheduled
from busbridge.outbox._rows import to_entry
from busbridge.store import SLOTS
from busbridge.transport import Entry
from tests.outbox.conftest import HISTORY, Flaky, Message
from tests.store.helpers import until


async def schedule(store, *messages, due=0.0):
    """Commits a timer for each message."""
    async with store.transaction() as transaction:
        await transaction.put_timers([to_scheduled(each, "shop.placed", "shop", due) for each in messages])


async def waiting(store):
    return [each.id for each in await store.timers(100, scheduled_place("shop"))]


async def in_outbox(store):
    return await store.pending(range(SLOTS), 100)


@asynccontextmanager
async def releasing(store, moved=lambda: None, announce=lambda _: None, **options):
    each = Releasing(store, moved, announce, **{"poll": 3600.0} | options)
    each.start()
    try:
        yield each
    finally:
        await each.stop()


async def test_what_is_due_is_in_the_outbox_as_it_would_have_been_at_once(place):
    message = Message("m1", b"{}", key="k")
    message.entries.append((None, Entry(HISTORY, b"{}", [("ce_id", "m1"), ("share", b"\x00")], "k", "rk")))
    async with place.store() as store:
        await schedule(store, message)
        await Releasing(store, lambda: None).look()
        first, second = await in_outbox(store)
        assert await waiting(store) == []
    assert [(each.message_id, each.destination) for each in (first, second)] == [("m1", "orders"), ("m1", "history")]
    for row, (_, entry) in zip((first, second), message.entries, strict=True):
        again = to_entry(row, entry.destination)
        assert (again.body, again.key, again.routing_key) == (entry.body, entry.key, entry.routing_key)
        assert again.headers == entry.headers


async def test_what_is_due_later_stays_and_is_looked_for_when_it_is_due(place):
    async with place.store() as store:
        await schedule(store, Message("m1", b"{}"), due=time.time() + 0.5)
        assert 0 < await Releasing(store, lambda: None, poll=60).look() <= 0.5
        assert await in_outbox(store) == []


async def test_many_that_are_due_come_in_the_order_of_their_times(place):
    """More than one transaction moves."""
    async with place.store() as store:
        for number in (2, 1, 0):
            names = [f"{number}-{each:04}" for each in range(400)]
            await schedule(store, *(Message(name, b"{}", key="k") for name in names), due=float(number))
        await Releasing(store, lambda: None).look()
        found = [each.message_id for each in await store.pending(range(SLOTS), 2000)]
        assert len(found) == 1200
        assert found == sorted(found)


async def test_a_message_that_is_expected_is_moved_when_it_is_due(place):
    """No look is due for an hour."""
    moved = asyncio.Event()
    async with place.store() as store, releasing(store, moved.set) as each:
        await asyncio.sleep(0)
        await schedule(store, Message("m1", b"{}"), due=time.time() + 0.05)
        each.expect(0.06)
        await asyncio.wait_for(moved.wait(), 10)
        assert len(await in_outbox(store)) == 1


async def test_a_process_that_ends_while_it_moves_leaves_either_the_timer_or_the_row(place):
    def dies(_):
        raise ZeroDivisionError

    async with place.store() as store:
        await schedule(store, Message("m1", b"{}"))
        with pytest.raises(ZeroDivisionError):
            await Releasing(store, lambda: None, dies).look()
        assert (len(await waiting(store)), len(await in_outbox(store))) == (1, 0)


async def test_a_database_that_is_away_is_waited_for(place):
    moved = asyncio.Event()
    async with place.store() as store:
        flaky = Flaky(store)
        flaky.away = True
        async with releasing(flaky, moved.set):
            await flaky.asked.wait()
            await schedule(store, Message("m1", b"{}"))
            flaky.away = False
            await asyncio.wait_for(moved.wait(), 10)
        assert (len(await waiting(store)), len(await in_outbox(store))) == (0, 1)


async def test_several_processes_move_each_message_once(place):
    async with place.store() as one, place.store() as other:
        await schedule(one, *(Message(f"m{each}", b"{}") for each in range(50)))
        async with releasing(one), releasing(other):

            async def all_moved():
                return not await waiting(one)

            await until(all_moved)
        assert sorted(each.message_id for each in await in_outbox(one)) == sorted(f"m{each}" for each in range(50))


async def test_the_same_message_scheduled_again_is_moved_to_its_new_time(place):
    async with place.store() as store:
        await schedule(store, Message("m1", b"old"), due=0.0)
        await schedule(store, Message("m1", b"new"), due=time.time() + 3600)
        await Releasing(store, lambda: None).look()
        assert await in_outbox(store) == []
        assert [each.body for each in await store.timers(9)] == [b"new"]


@pytest.mark.parametrize("delay", [-1, timedelta(seconds=-1), float("inf"), float("nan")])
def test_a_delay_that_is_none_is_refused(delay):
    with pytest.raises(ValueError, match="a delay is 0 or more seconds"):
        moment(delay, None)


def test_a_time_needs_its_zone_and_excludes_a_delay():
    with pytest.raises(ValueError, match="needs its offset from UTC"):
        moment(None, datetime(2030, 1, 1))  # noqa: DTZ001 - the fault
    with pytest.raises(ValueError, match="give one of the two"):
        moment(1, datetime(2030, 1, 1, tzinfo=UTC))


def test_a_delay_is_counted_from_now_and_a_time_is_itself():
    assert moment(timedelta(minutes=1), None).due(1000.0) == 1060.0
    assert Moment(at=datetime.fromtimestamp(5, UTC)).due(1000.0) == 5.0
