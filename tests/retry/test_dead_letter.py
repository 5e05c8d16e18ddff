"""The record of a dead letter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from busbridge.retry import PREFIX, Reason, read_record, record_of
from busbridge.routing import Destination, Kind, SubscriptionPlan
from busbridge.transport import Delivery, Position, Session

PLAN = SubscriptionPlan("stock", "reserve", Destination("history", Kind.STREAM, "log", "history"))


def delivery(headers=()):
    return Delivery(Session(), b"body", headers, None, Position(3, 41))


def test_the_record_says_why_where_and_how_often():
    record = dict(record_of(Reason.FAILED, KeyError("shelf"), delivery(), PLAN, attempts=3))
    assert record[f"{PREFIX}reason"] == "failed"
    assert record[f"{PREFIX}error-type"] == "builtins.KeyError"
    assert record[f"{PREFIX}error"] == "'shelf'"
    assert (record[f"{PREFIX}service"], record[f"{PREFIX}subscription"]) == ("stock", "reserve")
    assert record[f"{PREFIX}destination"] == "history"
    assert record[f"{PREFIX}position"] == "3:41"
    assert record[f"{PREFIX}attempts"] == "3"


def test_a_long_error_is_cut_so_that_the_headers_fit_a_frame():
    record = dict(record_of(Reason.FAILED, ValueError("x" * 100_000), delivery(), PLAN, attempts=1))
    assert len(record[f"{PREFIX}error"]) == 1000


@given(st.lists(st.tuples(st.text(), st.text() | st.binary() | st.none())))
def test_reading_gives_back_the_original_headers_with_order_and_repeats(headers):
    original = [pair for pair in headers if not pair[0].startswith(PREFIX)]
    record = record_of(Reason.FATAL, RuntimeError("no"), delivery(original), PLAN, attempts=2)
    letter = read_record(b"body", [*original, *record])
    assert letter.headers == original
    assert (letter.reason, letter.error, letter.attempts) == ("fatal", "no", 2)


def test_a_record_of_somebody_else_reads_as_far_as_it_goes():
    letter = read_record(b"x", [(f"{PREFIX}attempts", b"many"), (f"{PREFIX}reason", b"\xff")])
    assert (letter.attempts, letter.service) == (0, "")
