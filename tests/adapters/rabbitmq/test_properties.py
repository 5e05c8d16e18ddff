"""Headers and properties: what a dead letter keeps of its original."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pika.spec import BasicProperties

from busbridge_rabbitmq import _decode
from busbridge_rabbitmq._properties import dead_letter, incoming, outgoing

RECORD = (("busbridge-reason", "rejected"),)


def test_the_content_type_is_a_property_on_the_wire_and_a_header_here():
    written = outgoing([("content-type", "application/json"), ("ce-id", "1")], 2)
    assert (written.content_type, written.headers) == ("application/json", {"ce-id": "1"})
    assert incoming(written) == [("content-type", "application/json"), ("ce-id", "1")]


def test_a_message_without_headers_has_none():
    assert incoming(BasicProperties()) == []


def test_a_dead_letter_keeps_the_properties_of_a_foreign_message():
    original = BasicProperties(
        content_type="text/plain", headers={"a": 1}, priority=3, correlation_id="c", reply_to="r", message_id="m",
        timestamp=1, type="t", app_id="app", content_encoding="gzip",
    )  # fmt: skip
    made = dead_letter(original, RECORD)
    assert made.headers == {"a": 1, "busbridge-reason": "rejected"}
    for name in ("content_type", "priority", "correlation_id", "reply_to", "message_id", "timestamp", "type", "app_id"):
        assert getattr(made, name) == getattr(original, name), name


def test_a_dead_letter_is_persistent_and_does_not_expire():
    made = dead_letter(BasicProperties(expiration="5", delivery_mode=1, user_id="anna"), RECORD)
    assert (made.delivery_mode, made.expiration, made.user_id) == (2, None, None)


def test_every_value_that_can_be_received_can_be_written_again():
    headers = {
        "float": 1.5,
        "array": [1, 2.5, "x", None],
        "x-death": [{"count": 1, "queue": "q", "time": datetime(2026, 1, 1, tzinfo=UTC), "routing-keys": ["q"]}],
        "decimal": Decimal("1.50"),
        "bytes": b"\xff",
        "nothing": None,
    }
    made = dead_letter(BasicProperties(headers=headers), RECORD)
    read = _decode.Decoder().properties(b"".join(made.encode()), 0).headers
    assert read["float"] == "1.5"
    assert read["array"] == [1, "2.5", "x", None]
    assert read["x-death"] == headers["x-death"]
    assert (read["bytes"], read["nothing"]) == (b"\xff", None)
