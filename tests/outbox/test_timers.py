"""Timers that are due, as deliveries."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from unittest.mock import patch

import pytest

from busbridge.errors import ClosedError, SourceEnded
from busbridge.outbox import Action, Arrival, TimerSource, decide, to_timer
from busbridge.outbox._rows import to_entry
from busbridge.routing import SubscriptionPlan
from busbridge.store import SLOTS, InboxKey, InboxRow, InboxState
from busbridge.transport import Delivery, Position, Session, Settlement
from tests.outbox.conftest import ORDERS, Flaky

PLAN = SubscriptionPlan("shop", "sub", ORDERS)
PLACE = "shop.sub/handler"


async def put(store, *bodies, due=0.0, place=PLACE, attempt=1):
    """Commits a timer for each body."""
    session, headers = Session(), [("ce-id", "m1"), ("share", 0.1)]
    async with store.transaction() as transaction:
        await transaction.put_timers(
            [to_timer(Delivery(session, body, headers, "k", Position(3, 17)), place, due, attempt) for body in bodies]
        )


async def drop(store, delivery):
    async with store.transaction() as transaction:
        return await transaction.drop_timers([delivery.timer.id])


@asynccontextmanager
async def timers(store, **options):
    source = TimerSource(store, PLAN, [PLACE], **{"poll": 3600.0} | options)
    try:
        yield source
    finally:
        await source.close()


async def test_a_due_timer_is_delivered_as_it_was_with_the_next_attempt(place):
    async with place.store() as store, timers(store) as source:
        await put(store, b"{}", attempt=2)
        (delivery,) = await source.receive()
        assert (delivery.body, delivery.key, delivery.position) == (b"{}", "k", Position(3, 17))
        assert delivery.headers == [("ce-id", "m1"), ("share", 0.1)]
        assert (delivery.attempt, delivery.timer.attempt) == (3, 2)


async def test_it_counts_as_handed_over_before_since_an_earlier_claim_may_have_ended_with_its_process(place):
    """T7: else a message that kills its process when a timer brings it is never counted."""
    async with place.store() as store, timers(store) as source:
        await put(store, b"{}")
        (delivery,) = await source.receive()
        assert delivery.redelivered


async def test_timers_of_other_handlers_and_of_later_times_stay(place):
    async with place.store() as store, timers(store) as source:
        await put(store, b"other", place="shop.sub/other")
        await put(store, b"later", due=time.time() + 3600)
        await put(store, b"now")
        assert [each.body for each in await source.receive()] == [b"now"]


async def test_a_timer_that_is_expected_wakes_the_source_when_it_is_due(place):
    """No look is due for an hour."""
    async with place.store() as store, timers(store) as source:
        waiting = asyncio.create_task(source.receive())
        await asyncio.sleep(0)
        await put(store, b"{}", due=time.time() + 0.05)
        source.expect(0.06)
        assert len(await waiting) == 1


async def test_of_timers_that_are_far_off_nothing_is_kept_in_memory(place):
    """There may be a million of them, and a look finds them in time."""
    async with place.store() as store, timers(store) as source:
        with patch.object(asyncio.get_running_loop(), "call_later") as later:
            source.expect(3600)
            assert not later.called
            source.expect(5)
            assert later.called


async def test_timers_are_shared_by_the_processes_each_is_delivered_once(place):
    async with place.store() as store, place.store() as other:
        async with timers(store) as source, timers(other, poll=0.01) as second:
            await put(store, b"{}")
            assert len(await source.receive()) == 1
            waiting = asyncio.create_task(second.receive())
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            assert not done
            second.drain()
            with pytest.raises(SourceEnded):
                await waiting


async def test_what_a_vanished_process_had_claimed_comes_again_when_its_claim_has_ended(place):
    async with place.store() as store:
        vanished = TimerSource(store, PLAN, [PLACE], claim=0.05)
        await put(store, b"{}")
        (lost,) = await vanished.receive()
        async with timers(store, poll=0.01) as source:
            (delivery,) = await source.receive()
        assert delivery.timer.id == lost.timer.id
        assert not lost.session.taking  # it may not begin any more


async def test_what_is_dropped_and_accepted_does_not_come_again(place):
    async with place.store() as store:
        await put(store, b"{}")
        async with timers(store) as source:
            (delivery,) = await source.receive()
            assert await drop(store, delivery) == 1
            assert delivery.accept()
            assert not delivery.accept()
        async with timers(store) as source:
            source.drain()
            with pytest.raises(SourceEnded):
                await source.receive()


@pytest.mark.parametrize("end", ["released", "left"])
async def test_what_was_not_settled_comes_at_once_to_a_successor_after_a_graceful_stop(place, end):
    """The claim, of a minute, is given back."""
    async with place.store() as store:
        await put(store, b"{}")
        async with timers(store) as source:
            (delivery,) = await source.receive()
            if end == "released":
                delivery.release()
        async with timers(store) as successor:
            async with asyncio.timeout(5):
                assert len(await successor.receive()) == 1


def test_a_timer_that_was_dropped_and_is_given_back_all_the_same_is_a_duplicate():
    """COMMIT whose answer was lost: who released it could not know."""
    handled = InboxRow(InboxKey(PLACE, "shop", "m1"), InboxState.HANDLED, 2)
    assert decide(handled, Arrival(1, timer=True)).action is Action.DUPLICATE


async def test_a_rejected_one_goes_to_the_dead_letters_by_the_outbox_and_its_timer_is_gone(place):
    told = []
    async with place.store() as store, timers(store, buried=lambda: told.append(1)) as source:
        await put(store, b"{}")
        (delivery,) = await source.receive()
        delivery.reject([("busbridge-dead-reason", "failed")])
        assert delivery.settlement is Settlement.REJECTED
        assert await source.flush(5)
        (row,) = await store.pending(range(SLOTS), 10)
        assert row.destination == PLAN.dead_letters
        assert list(to_entry(row, ORDERS).headers)[-1] == ("busbridge-dead-reason", "failed")
        assert await drop(store, delivery) == 0
        assert told == [1]


async def test_a_rejected_one_is_moved_when_the_database_is_back(place):
    async with place.store() as store:
        flaky = Flaky(store)
        async with timers(flaky) as source:
            await put(store, b"{}")
            (delivery,) = await source.receive()
            flaky.away = True
            delivery.reject([])
            assert not await source.flush(0.01)
            flaky.away = False
            assert await source.flush(5)
            assert len(await store.pending(range(SLOTS), 10)) == 1


async def test_never_more_is_claimed_than_there_is_room_for(place):
    async with place.store() as store, timers(store, prefetch=2) as source:
        await put(store, b"1", b"2", b"3")
        first = await source.receive()
        assert len(first) == 2
        waiting = asyncio.create_task(source.receive())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await drop(store, first[0]) == 1
        first[0].accept()
        assert len(await waiting) == 1


async def test_a_cancelled_wait_loses_nothing(place):
    """T5: what was claimed meanwhile belongs to the source."""
    async with place.store() as store, timers(store) as source:
        await put(store, b"{}")
        waiting = asyncio.create_task(source.receive())
        await asyncio.sleep(0)  # it has asked
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert len(await source.receive()) == 1


async def test_a_database_that_is_away_is_waited_for(place):
    async with place.store() as store:
        await put(store, b"{}")
        flaky = Flaky(store)
        flaky.away = True
        async with timers(flaky) as source:
            waiting = asyncio.create_task(source.receive())
            await flaky.asked.wait()
            flaky.away = False
            assert len(await waiting) == 1


async def test_a_source_that_drains_ends_and_one_that_is_closed_wakes_its_reader(place):
    async with place.store() as store:
        async with timers(store) as source:
            waiting = asyncio.create_task(source.receive())
            await asyncio.sleep(0.01)
            source.drain()
            with pytest.raises(SourceEnded):
                await waiting
        source = TimerSource(store, PLAN, [PLACE], poll=3600.0)
        waiting = asyncio.create_task(source.receive())
        await asyncio.sleep(0.01)
        await source.close()
        await source.close()
        with pytest.raises(ClosedError):
            await waiting
