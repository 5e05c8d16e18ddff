"""A line of messages in the store: each comes when the one before it has ended, and is brought once."""

from __future__ import annotations

from busbridge.outbox import is_first, step_on, to_first, to_parked
from busbridge.transport import Delivery, Position, Session

PLACE = "stock.reserve/reserve"


def delivery(number):
    return Delivery(Session(), b"%d" % number, [("id", str(number))], "a", Position(0, number))


async def test_the_next_message_comes_as_it_was_when_the_first_has_ended(place):
    async with place.store() as store, store.transaction() as transaction:
        first = to_first(delivery(1), PLACE, 0.0, 2)
        await transaction.put_parked([to_parked(delivery(number), PLACE, 0) for number in (1, 2)])
        await transaction.put_timers([first])
        following = await step_on(transaction, first)
        assert following is not None
        assert is_first(following)
        assert following[1:] == (PLACE, following.due, 0, '"a"', '[["id","2"]]', b"2", "0:2")
        await transaction.put_timers([following])
        assert await step_on(transaction, following) is None
        assert await transaction.parked("stock.reserve", ['"a"']) == frozenset()


async def test_whoever_comes_late_with_a_timer_leaves_the_line_as_it_is(place):
    """Its claim ran out while it worked: the message has ended elsewhere, and another one is first now."""
    async with place.store() as store, store.transaction() as transaction:
        first = to_first(delivery(1), PLACE, 0.0, 1)
        await transaction.put_parked([to_parked(delivery(number), PLACE, 0) for number in (1, 2, 3)])
        await transaction.put_timers([first])
        following = await step_on(transaction, first)
        assert following is not None
        await transaction.put_timers([following])
        assert await step_on(transaction, first) is None
        third = await step_on(transaction, following)
        assert third is not None
        assert third.body == b"3"
