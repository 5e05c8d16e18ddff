"""How many messages a lane takes at a time."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.runtime.handling._lanes import Lanes, Together
from busbridge.runtime.handling._pace import BUDGET, Pace, Stint
from busbridge.transport import Delivery, Session


def deliveries(count):
    session = Session()
    return [Delivery(session, b"%d" % number, (), None) for number in range(count)]


class Clocks:
    """Seconds that pass."""

    def __init__(self):
        self.passed = 0.0

    def pace(self, most, **options):
        return Pace(most, clock=lambda: self.passed, **options)

    def ran(self, pace, count, seconds, waited=0.0):
        stint = Stint(pace)
        stint.done = count
        self.passed += seconds
        stint.end(waited)


@pytest.fixture
def clocks():
    return Clocks()


def test_slow_handlers_get_one_message_at_a_time_and_fast_ones_as_many_as_there_may_be(clocks):
    pace = clocks.pace(50)
    assert pace.limit == 50
    clocks.ran(pace, 1, 10 * BUDGET)
    assert pace.limit == 1
    clocks.ran(pace, 1, BUDGET * 0.7)
    assert pace.limit == 1, "neither slow nor fast: as before"
    limits = []
    for _ in range(8):
        clocks.ran(pace, pace.limit, BUDGET / 10)
        limits.append(pace.limit)
    assert limits == [2, 4, 8, 16, 32, 50, 50, 50]
    clocks.ran(pace, 50, 2 * BUDGET)
    assert pace.limit == 25


def test_a_busy_database_makes_no_batch_smaller_and_slow_handlers_do(clocks):
    """Else sixteen lanes, each of which makes all others wait, would end with a transaction for each message."""
    pace = clocks.pace(50, lanes=16, one_at_a_time=False)
    clocks.ran(pace, 50, 16 * BUDGET, waited=15.5 * BUDGET)
    assert pace.limit == 50
    clocks.ran(pace, 50, 10 * BUDGET)
    assert pace.limit == 5


def test_a_transaction_that_others_wait_for_takes_no_more_after_its_budget(clocks):
    alone, beside = Stint(clocks.pace(50)), Stint(clocks.pace(50, one_at_a_time=False))
    clocks.passed = 1.1 * BUDGET
    assert not alone.over, "one message at least"
    alone.done = beside.done = 1
    assert alone.over
    assert not beside.over
    clocks.passed = 30 * BUDGET
    assert beside.over


def test_lanes_that_share_a_line_take_some_each_before_one_takes_many():
    """Else slow handlers would follow each other in one lane while the others are idle."""
    pace = Pace(50, lanes=16)
    assert [pace.share(waiting) for waiting in (1, 16, 17, 500, 5000)] == [1, 1, 2, 32, 50]
    assert Pace(50).share(17) == 17, "a line of its own"


def test_fast_handlers_are_shared_by_a_few_lanes_and_slow_ones_by_all(clocks):
    """Else sixteen lanes would commit a few messages each where four could have many more in a transaction."""
    pace = clocks.pace(50, lanes=16, one_at_a_time=False)
    clocks.ran(pace, 50, BUDGET / 10)
    assert [pace.share(waiting) for waiting in (1, 4, 40, 200, 500, 5000)] == [1, 1, 10, 50, 50, 50]
    clocks.ran(pace, 10, 10 * BUDGET)
    assert [pace.share(waiting) for waiting in (1, 40, 500)] == [1, 1, 1]


def test_transactions_that_meet_others_become_shorter_and_longer_again(clocks):
    pace = clocks.pace(50)
    for _ in range(4):
        pace.met()
    assert pace.limit == 3
    clocks.ran(pace, 3, BUDGET / 10)
    assert pace.limit == 6


async def test_lanes_take_what_is_there_and_what_had_no_turn_keeps_its_place():
    taken = []

    async def handle(batch):
        taken.append([each.body for each in batch])
        await asyncio.sleep(0)
        return batch[2:]

    lanes = Lanes(1, Together(handle, Pace(4)), lambda _: None, ordered=False)
    lanes.put(deliveries(6))
    await asyncio.wait_for(lanes.drained(), 5)
    await lanes.close()
    assert taken == [[b"0", b"1", b"2", b"3"], [b"2", b"3", b"4", b"5"], [b"4", b"5"]]


async def test_what_a_slow_lane_puts_back_is_taken_by_one_that_has_nothing_to_do():
    """Else a handler of a second, and fifty messages taken by one lane, would leave all other lanes idle."""
    most = 0
    pace = Pace(50)
    running = 0

    async def handle(batch):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if most < 4:
            pace.limit = 1
            await asyncio.sleep(0.01)
        running -= 1
        return batch[1:]

    lanes = Lanes(4, Together(handle, pace), lambda _: None, ordered=False)
    lanes.put(deliveries(12))
    await asyncio.wait_for(lanes.drained(), 5)
    await lanes.close()
    assert most == 4


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_a_stop_waits_for_lanes_that_work_and_gives_back_what_no_lane_is_left_for(together, ordered):
    handled, released = [], []

    async def handle(delivery):
        await asyncio.sleep(0)
        if not handled:
            handled.append(delivery)
            raise LookupError
        handled.append(delivery)

    async def handle_many(batch):
        for each in batch:
            await handle(each)
        return ()

    lanes = Lanes(2, Together(handle_many, Pace(1)) if together else handle, released.append, ordered=ordered)
    lanes.put(deliveries(10))
    with pytest.raises(LookupError):
        await asyncio.wait_for(lanes.failed(), 5)
    await asyncio.wait_for(lanes.drained(), 5)
    await lanes.close()
    assert len(handled) + len(released) == 10
    assert len(handled) == (10 if not ordered else 6)


async def at_work(pace, lanes, seconds):
    """The most lanes that were at work at a time, of so many that ask at once."""
    working = most = 0

    async def lane():
        nonlocal working, most
        async with pace.turn():
            working += 1
            most = max(most, working)
            await asyncio.sleep(seconds)
            working -= 1

    await asyncio.wait_for(asyncio.gather(*(lane() for _ in range(lanes))), 10)
    return most


async def test_lanes_of_quick_handlers_take_turns_and_those_of_slow_ones_do_not(clocks):
    pace = clocks.pace(50, lanes=16, one_at_a_time=False)
    assert await at_work(pace, 16, 0.001) == 16, "nobody knows yet how long they take"
    clocks.ran(pace, 50, BUDGET / 10)
    assert await at_work(pace, 16, 0.001) == 4
    assert await at_work(pace, 16, 0.001) == 4, "all turns were given back"
    clocks.ran(pace, 1, BUDGET)
    assert await at_work(pace, 16, 0.001) == 16


async def test_no_lane_waits_for_ever_for_its_turn(clocks):
    """Handlers may wait for each other: then those that have no turn must come to be called."""
    pace = clocks.pace(50, lanes=16, one_at_a_time=False)
    clocks.ran(pace, 50, BUDGET / 10)
    all_there = asyncio.Barrier(8)

    async def lane():
        async with pace.turn():
            await all_there.wait()

    await asyncio.wait_for(asyncio.gather(*(lane() for _ in range(8))), 10)


async def test_a_lane_that_ends_while_it_waits_takes_no_turn_along(clocks):
    pace = clocks.pace(50, one_at_a_time=False)
    clocks.ran(pace, 50, BUDGET / 10)

    async def lane():
        async with pace.turn():
            await asyncio.sleep(0.01)

    lanes = [asyncio.create_task(lane()) for _ in range(8)]
    await asyncio.sleep(0)
    for each in lanes[2:6]:
        each.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    assert await at_work(pace, 8, 0.001) == 4
