"""How many messages a lane takes at a time."""

from __future__ import annotations

import asyncio

from busbridge.runtime._lanes import Lanes, Together
from busbridge.runtime._pace import BUDGET, Pace
from busbridge.transport import Delivery, Session


def deliveries(count):
    session = Session()
    return [Delivery(session, b"%d" % number, (), None) for number in range(count)]


def test_slow_handlers_get_one_message_at_a_time_and_fast_ones_as_many_as_there_may_be():
    pace = Pace(50)
    assert pace.limit == 50
    pace.ran(1, 10 * BUDGET)
    assert pace.limit == 1
    pace.ran(1, BUDGET * 0.7)
    assert pace.limit == 1, "neither slow nor fast: as before"
    limits = []
    for _ in range(8):
        pace.ran(pace.limit, BUDGET / 10)
        limits.append(pace.limit)
    assert limits == [2, 4, 8, 16, 32, 50, 50, 50]
    pace.ran(50, 2 * BUDGET)
    assert pace.limit == 25


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
            pace.ran(1, 1.0)
            await asyncio.sleep(0.01)
        running -= 1
        return batch[1:]

    lanes = Lanes(4, Together(handle, pace), lambda _: None, ordered=False)
    lanes.put(deliveries(12))
    await asyncio.wait_for(lanes.drained(), 5)
    await lanes.close()
    assert most == 4
