"""Headers of the user's own."""

from __future__ import annotations

from typing import Any

import pytest

from busbridge.envelope import check_headers
from busbridge.errors import InvalidEnvelope


def test_headers_of_the_user_pass():
    check_headers({"region": "eu", "X-Tenant": "é", "center": "", "cell": "1"})


@pytest.mark.parametrize(
    "name",
    [
        *("ce_id", "ce-id", "cloudEvents_id", "cloudEvents:id", "CE-Type", "ce_whatever"),
        *("content-type", "Content-Type", "traceparent", "TraceState"),
        *("CC", "BCC", "cc", "x-death", "x-first-death-queue", "busbridge-dead-reason", ""),
    ],
)
def test_a_name_of_the_envelope_or_the_broker_is_refused(name: str):
    with pytest.raises(InvalidEnvelope, match="choose another"):
        check_headers({"region": "eu", name: "1"})


def test_a_name_longer_than_amqp_takes_is_refused():
    check_headers({"n" * 255: ""})
    with pytest.raises(InvalidEnvelope, match="longer than 255 bytes"):
        check_headers({"é" * 128: ""})


@pytest.mark.parametrize("value", [1, None, b"bytes", ["a"]])
def test_a_value_that_is_no_string_is_refused(value: Any):
    with pytest.raises(InvalidEnvelope, match=r"'region' must be a string, not "):
        check_headers({"region": value})
