"""What a dead letter is sent again with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from busbridge.retry import REDRIVE, REDRIVES, Reason, record_of, redrive_of, redriven_headers
from busbridge.routing import Destination, Kind, SubscriptionPlan
from busbridge.transport import Delivery, Session

PLAN = SubscriptionPlan("stock", "reserve", Destination("orders", Kind.QUEUE, "rabbit", "orders"))
OTHERS = ("busbridge-", "x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


def buried(headers):
    delivery = Delivery(Session(), b"body", headers, None)
    return [*headers, *record_of(Reason.FAILED, KeyError(), delivery, PLAN, 2)]


@given(st.lists(st.tuples(st.text(), st.text() | st.binary() | st.none())))
def test_the_original_headers_come_again_in_order_with_repeats_and_the_redrive_after_them(headers):
    original = [pair for pair in headers if not pair[0].startswith(OTHERS)]
    assert redriven_headers(buried(original), "r1") == [*original, (REDRIVE, "r1"), (REDRIVES, "1")]


def test_our_counters_and_the_brokers_are_left_behind():
    counted = [
        ("ce-id", "m1"),
        ("x-death", [{"reason": "rejected", "count": 3}]),
        ("x-first-death-queue", "orders"),
        ("x-last-death-reason", "expired"),
        ("x-delivery-count", 7),
        ("x-acquired-count", 7),
        ("busbridge-first-failed", "2026-01-02T03:04:05.000Z"),
    ]
    assert redriven_headers(buried(counted), "r1")[:-2] == [("ce-id", "m1")]


def test_names_of_other_tools_go_with_the_record_unless_the_message_came_with_them():
    theirs, ours = ("kafka_dlt-original-topic", b"theirs"), ("__connect.errors.topic", b"ours")
    assert redriven_headers([*buried([theirs]), ours], "r1")[:-2] == [theirs]


def test_each_redrive_replaces_the_one_before_and_is_counted():
    once = redriven_headers(buried([("ce-id", "m1")]), "r1")
    twice = redriven_headers(buried([(name, str(value).encode()) for name, value in once]), "r2")
    assert twice == [("ce-id", b"m1"), (REDRIVE, "r2"), (REDRIVES, "2")]
    assert redrive_of(twice) == "r2"
    assert redrive_of([("ce-id", "m1")]) == ""
