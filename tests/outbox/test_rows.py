"""Messages as rows, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from busbridge.outbox import dead_letter_place, to_dead_letter, to_outbox, to_timer
from busbridge.outbox._rows import position_of, to_entry
from busbridge.outbox._text import headers_text, key_text, text_headers, text_key
from busbridge.routing import Kind, SubscriptionPlan
from busbridge.store import SLOTS
from busbridge.transport import Delivery, Position, Session
from tests.outbox.conftest import HISTORY, ORDERS, Message

HEADERS = [
    ("ce-id", "m1"),
    ("share", 0.1),
    ("raw", b"\x00\xff"),
    ("nothing", None),
    ("again", "1"),
    ("again", "2"),
    ("count", 7),
    ("yes", True),
    ("price", Decimal("1.10")),
    ("when", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("x-death", [{"queue": "orders", "count": 2, "raw": b"\x01", "bytes": "no type"}]),
    ("like a type", {"bytes": "AA=="}),
    ("odd", "\x00 \ud800 é"),
]


def delivered(**changes):
    return Delivery(Session(), **{"body": b"{}", "headers": HEADERS, "key": "k"} | changes)


def test_headers_come_back_as_they_were():
    """T25: a float, bytes, None, repeats and their order; and nothing foreign is taken for a type of ours."""
    found = text_headers(headers_text(HEADERS))
    assert found == HEADERS
    assert [type(value) for _, value in found] == [type(value) for _, value in HEADERS]


def test_the_text_of_headers_is_one_that_every_database_takes():
    text = headers_text(HEADERS)
    assert text.isascii()
    assert "\x00" not in text


@pytest.mark.parametrize("key", [None, "k", "", "\x00", b"k", b"\x00\xff", '"k"'])
def test_a_key_comes_back_as_it_was(key):
    assert text_key(key_text(key)) == key


def test_a_row_publishes_the_same_entry_whenever_it_is_asked():
    """R3: the id was fixed before the row was inserted."""
    message = Message("m1", b"{}", key="k")
    (row,) = to_outbox(message)
    sent = message.entries[0][1]
    for _ in range(2):
        entry = to_entry(row, ORDERS)
        assert (entry.body, list(entry.headers), entry.key, entry.routing_key, entry.destination) == (
            (sent.body, list(sent.headers), sent.key, sent.routing_key, sent.destination)
        )
    assert row.message_id == "m1"


def test_a_message_to_two_destinations_is_two_rows_of_one_id():
    message = Message("m1", b"{}")
    message.entries += Message("m1", b"{}", destination=HISTORY).entries
    assert [(row.message_id, row.destination) for row in to_outbox(message)] == [("m1", "orders"), ("m1", "history")]


def test_a_key_always_has_the_same_slot_and_messages_without_one_are_spread():
    def slots(*keys):
        return {to_outbox(Message("m1", b"{}", key=key))[0].slot for key in keys}

    assert len(slots(*["k"] * 200)) == 1
    assert len(slots(*[None] * 200)) > SLOTS / 2
    assert len(slots(*map(str, range(200)))) == SLOTS


def test_a_timer_keeps_the_delivery():
    row = to_timer(delivered(position=Position(3, 17), key=b"\xff"), "shop.sub/handler", 12.5, 2)
    assert (row.place, row.due, row.attempt, row.body) == ("shop.sub/handler", 12.5, 2, b"{}")
    assert text_headers(row.headers) == HEADERS
    assert text_key(row.key) == b"\xff"
    assert position_of(row) == Position(3, 17)
    assert position_of(to_timer(delivered(), "shop.sub/handler", 0, 1)) is None


@pytest.mark.parametrize(("destination", "kind"), [(ORDERS, Kind.QUEUE), (HISTORY, Kind.STREAM)])
def test_a_dead_letter_goes_to_the_place_of_its_subscription(destination, kind):
    plan = SubscriptionPlan("shop", "sub", destination)
    row, place = to_dead_letter(delivered(), [("busbridge-dead-reason", "failed")], plan), dead_letter_place(plan)
    assert row.destination == place.name == place.physical == plan.dead_letters
    assert (place.kind, place.transport) == (kind, destination.transport)
    entry = to_entry(row, place)
    assert list(entry.headers) == [*HEADERS, ("busbridge-dead-reason", "failed")]
