"""The checkers, on ledgers written by hand."""

from __future__ import annotations

import asyncio

from busbridge.testing.conformance import (
    Event,
    Ledger,
    What,
    disagreements,
    judge,
    jumps,
    late_by_key,
    overlapping_keys,
)
from busbridge.transport import CONFIRMED, Delivery, Position, Session


def events(*lines):
    """Events from lines such as `delivered m1 key member`."""
    made = []
    for at, line in enumerate(lines):
        what, message_id, *rest = line.split()
        key, member, attempt = [*rest, *("k", "a", "1")[len(rest) :]]
        made.append(Event(float(at), What(what), message_id, key, member, int(attempt)))
    return made


def at(message_id, partition, offset, what=What.DELIVERED, session=None):
    return Event(0.0, what, message_id, "k", "a", 1, Position(partition, offset), session)


def test_confirmed_and_never_delivered_is_lost():
    verdict = judge(events("attempted m1", "confirmed m1", "attempted m2", "confirmed m2", "delivered m2"))
    assert verdict.lost == {"m1"}


def test_delivered_and_never_attempted_is_unexpected():
    assert judge(events("delivered m1")).unexpected == {"m1"}


def test_delivered_though_refused_is_a_ghost():
    verdict = judge(events("attempted m1", "refused m1", "delivered m1"))
    assert (verdict.ghost, verdict.recovered) == ({"m1"}, frozenset())


def test_delivered_though_unknown_is_recovered():
    verdict = judge(events("attempted m1", "unknown m1", "delivered m1"))
    assert (verdict.ghost, verdict.recovered, verdict.lost) == (frozenset(), {"m1"}, frozenset())


def test_a_second_delivery_is_extra_and_a_second_attempt_is_not():
    verdict = judge(events("delivered m1", "delivered m1", "delivered m2", "delivered m2 k a 2"))
    assert verdict.extra == {"m1": 1}


def test_a_message_behind_a_later_one_of_its_key_is_late():
    sent = ["attempted m1 x", "attempted m2 x", "attempted m3 y"]
    assert not late_by_key(events(*sent, "delivered m3 y", "delivered m1 x", "delivered m2 x"))
    assert late_by_key(events(*sent, "delivered m2 x", "delivered m1 x")) == {"x": ["m1"]}


def test_a_redelivery_is_not_late():
    sent = ["attempted m1 x", "attempted m2 x"]
    assert not late_by_key(events(*sent, "delivered m1 x", "delivered m2 x", "delivered m1 x"))


def test_a_key_that_two_members_hold_at_once_overlaps():
    held = ["delivered m1 x a", "delivered m2 x b"]
    assert overlapping_keys(events(*held)) == {"x"}
    assert not overlapping_keys(events(held[0], "settled m1 x a", held[1]))


def test_positions_that_skip_or_go_back_within_a_session_are_jumps():
    first, second = Session(), Session()
    assert not jumps([at("m1", 0, 4, session=first), at("m2", 1, 9, session=first), at("m3", 0, 5, session=first)])
    assert len(jumps([at("m1", 0, 4, session=first), at("m2", 0, 6, session=first)])) == 1
    assert len(jumps([at("m1", 0, 4, session=first), at("m2", 0, 4, session=first)])) == 1
    assert not jumps([at("m1", 0, 4, session=first), at("m1", 0, 4, session=second)])


def test_a_position_with_two_messages_and_a_message_at_two_positions_disagree():
    confirmed = at("m1", 0, 0, What.CONFIRMED)
    assert not disagreements([confirmed, at("m1", 0, 0)])
    assert len(disagreements([confirmed, at("m2", 0, 0)])) == 1
    assert len(disagreements([confirmed, at("m1", 0, 1)])) == 1


def test_a_ledger_knows_what_is_missing_and_open_as_it_goes():
    async def scenario():
        ledger = Ledger()
        ledger.attempted(["m1"])
        ledger.ended("m1", None, CONFIRMED)
        assert ledger.missing == {"m1"}
        waiting = asyncio.create_task(ledger.until(lambda: not ledger.missing, 5))
        await asyncio.sleep(0)
        delivery = Delivery(Session(), b"", (), None)
        ledger.delivered("m1", None, "a", delivery)
        assert await waiting
        assert (ledger.open, ledger.most_open) == (1, 1)
        ledger.closed(What.SETTLED, "m1", "a", delivery)
        assert (ledger.open, ledger.most_open) == (0, 1)
        assert not await ledger.until(lambda: False, 0.01)

    asyncio.run(scenario())
