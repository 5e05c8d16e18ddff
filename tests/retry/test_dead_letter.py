"""The record of a dead letter."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from busbridge.retry import FIRST_FAILED, PREFIX, REDRIVE, Reason, read_record, record_of
from busbridge.routing import Destination, Kind, SubscriptionPlan, Telling
from busbridge.transport import Delivery, Position, Session

PLAN = SubscriptionPlan("stock", "reserve", Destination("history", Kind.STREAM, "log", "acme.history"))


def delivery(headers=()):
    return Delivery(Session(), b"body", headers, None, Position(3, 41))


def raised(error):
    try:
        raise error
    except type(error) as met:
        return met


def record(error, plan=PLAN, headers=(), **more):
    pairs = record_of(Reason.FAILED, error, delivery(headers), plan, 3, **more)
    assert all(isinstance(value, str) for _, value in pairs)
    return {name.removeprefix(PREFIX): value for name, value in pairs}


def test_the_record_says_why_where_and_how_often():
    told = record(KeyError("shelf"), replace(PLAN, version="1.4.2"), handler="book")
    assert (told["reason"], told["error-type"], told["error"]) == ("failed", "builtins.KeyError", "'shelf'")
    assert (told["service"], told["version"]) == ("stock", "1.4.2")
    assert (told["subscription"], told["handler"]) == ("reserve", "book")
    assert (told["destination"], told["origin"], told["position"]) == ("history", "acme.history", "3:41")
    assert told["attempts"] == "3"


def test_what_is_not_known_is_left_out():
    assert not {"version", "handler", "stack", "redrive"} & set(record(KeyError("shelf")))


def test_every_dead_letter_has_an_id_of_its_own():
    assert record(KeyError())["id"] != record(KeyError())["id"]


def test_a_long_error_is_cut_so_that_the_headers_fit_a_frame():
    assert len(record(ValueError("x" * 100_000))["error"]) == 1000


def test_the_stack_says_where_the_error_was_raised_and_keeps_its_end_when_it_is_cut():
    assert "in raised" in record(raised(ValueError("short")))["stack"]
    stack = record(raised(ValueError("x" * 100_000 + " the end")))["stack"]
    assert len(stack) == 8000
    assert stack.rstrip().endswith("the end")


def test_a_stack_that_may_not_be_told_is_not():
    assert "stack" not in record(raised(ValueError()), replace(PLAN, telling=Telling(stack=False)))


def test_what_the_configuration_redacts_stands_in_no_part_of_the_record_not_even_where_it_is_cut():
    plan = replace(PLAN, telling=Telling(redact=(re.compile(r"\d{16}"),)))
    told = record(raised(ValueError("x" * 990 + "4111111111111111")), plan)
    assert "4111" not in "".join(told.values())
    assert told["error"].endswith("[redacted]")


def test_the_first_failure_is_told_from_what_came_before_and_else_is_this_one():
    early = "2026-01-02T03:04:05.000Z"
    assert record(KeyError(), headers=[(FIRST_FAILED, early.encode())])["first-time"] == early
    assert record(KeyError(), since=early)["first-time"] == early
    told = record(KeyError())
    assert told["first-time"] == told["time"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(told["time"])).total_seconds()) < 60


def test_what_a_redrive_had_brought_names_it():
    assert record(KeyError(), headers=[(REDRIVE, b"again")])["redrive"] == "again"


@given(st.lists(st.tuples(st.text(), st.text() | st.binary() | st.none())))
def test_reading_gives_back_the_original_headers_with_order_and_repeats(headers):
    original = [pair for pair in headers if not pair[0].startswith(PREFIX)]
    added = record_of(Reason.FATAL, RuntimeError("no"), delivery(original), PLAN, attempts=2)
    letter = read_record(b"body", [*original, *added])
    assert letter.headers == original
    assert (letter.reason, letter.error, letter.attempts) == ("fatal", "no", 2)


def test_a_record_of_somebody_else_reads_as_far_as_it_goes():
    letter = read_record(b"x", [(f"{PREFIX}attempts", b"many"), (f"{PREFIX}reason", b"\xff")])
    assert (letter.attempts, letter.service) == (0, "")


def test_what_a_broker_moved_by_itself_reads_as_it_says():
    death = {"reason": "expired", "queue": "orders", "time": datetime(2026, 1, 2, tzinfo=UTC), "count": 1}
    letter = read_record(b"x", [("x-death", [death, {"reason": "rejected"}])])
    assert (letter.reason, letter.origin, letter.time) == ("expired", "orders", "2026-01-02T00:00:00Z")
