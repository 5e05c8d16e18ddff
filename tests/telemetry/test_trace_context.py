"""The trace goes on through a service without telemetry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busbridge.telemetry import passed_on

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_trace_headers_are_passed_on_and_nothing_else():
    headers = [("a", "b"), ("tracestate", b"rojo=1"), ("traceparent", PARENT.encode()), ("ce_traceparent", "x")]
    assert passed_on(headers) == (("traceparent", PARENT), ("tracestate", "rojo=1"))


def test_a_state_without_a_parent_says_nothing():
    assert passed_on([("tracestate", "rojo=1")]) == ()
    assert passed_on([]) == ()


def test_an_empty_state_is_left_out():
    assert passed_on([("traceparent", PARENT), ("tracestate", "")]) == (("traceparent", PARENT),)


def test_of_a_repeated_header_the_first_counts():
    other = PARENT.replace("4bf9", "ffff")
    assert passed_on([("traceparent", PARENT), ("traceparent", other)]) == (("traceparent", PARENT),)


def test_a_later_version_may_have_more():
    longer = f"cc{PARENT[2:]}-what-ever"
    assert passed_on([("traceparent", longer)]) == (("traceparent", longer),)


@pytest.mark.parametrize(
    "parent",
    [
        *("", "00", "x" * 55, f"{PARENT}-more", PARENT.upper(), f"ff{PARENT[2:]}", PARENT.replace("-", "_")),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        *(None, 5, b"\xff" * 55),
    ],
)
def test_a_malformed_parent_is_not_passed_on(parent: object):
    assert passed_on([("traceparent", parent), ("tracestate", "rojo=1")]) == ()


@given(st.lists(st.tuples(st.sampled_from(["traceparent", "tracestate"]), st.none() | st.text() | st.binary())))
def test_anything_may_come_in(headers: list[tuple[str, object]]):
    passed_on(headers)
