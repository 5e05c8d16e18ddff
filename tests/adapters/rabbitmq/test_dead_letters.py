"""A message must not be too large to be dead: its headers are sent in one frame."""

from __future__ import annotations

from pika.spec import BasicProperties

from busbridge.retry import PREFIX
from busbridge_rabbitmq._properties import again, fitting

RECORD = [(f"{PREFIX}reason", "failed"), (f"{PREFIX}error", "e" * 1000), (f"{PREFIX}stack", "s" * 8000)]


def names(properties):
    return [name.removeprefix(PREFIX) for name in properties.headers if name.startswith(PREFIX)]


def original(size):
    return BasicProperties(headers={"ce-id": "m1", "large": "x" * size}, content_type="application/json")


def test_what_fits_is_told_whole():
    assert names(fitting(original(10), RECORD, 131_072)) == ["reason", "error", "stack"]


def test_the_stack_goes_first_then_all_but_the_reason_and_never_a_header_of_the_message():
    assert names(fitting(original(122_500), RECORD, 131_072)) == ["reason", "error"]
    least = fitting(original(130_500), RECORD, 131_072)
    assert names(least) == ["reason"]
    assert len(least.headers["large"]) == 130_500


def test_what_is_sent_again_keeps_its_properties_and_has_other_headers():
    sent = BasicProperties(headers={"old": 1}, content_type="text/x", correlation_id="c", priority=3, expiration="5")
    made = again(sent, [("content-type", "text/x"), ("ce-id", "m1"), ("number", 1.5)])
    assert (made.content_type, made.correlation_id, made.priority) == ("text/x", "c", 3)
    assert made.headers == {"ce-id": "m1", "number": "1.5"}
    assert made.expiration is None
    assert made.delivery_mode == 2
