"""What is published, on the wire: byte for byte what the client would write, or the client's own refusal."""

from __future__ import annotations

import enum
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec
from pika.compat import long
from pika.exceptions import ShortStringTooLong, UnsupportedAMQPFieldException
from pika.spec import BasicProperties

from busbridge_rabbitmq import _encode
from busbridge_rabbitmq._encode import Encoder
from tests.adapters.rabbitmq.test_decode import NAMES
from tests.adapters.rabbitmq.test_decode import SCALARS as READ_BACK

MOST = 50
SCALARS = READ_BACK | st.integers(-(2**31), 2**31).map(long) | st.decimals(-10_000, 10_000, places=3)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
SHORT = st.none() | st.text(max_size=50) | st.binary(max_size=50)
HEADERS = st.none() | st.dictionaries(NAMES | st.binary(max_size=20), VALUES, max_size=5)
OURS = st.builds(
    BasicProperties,
    content_type=st.none() | st.sampled_from(["application/json", ""]) | st.text(max_size=50),
    headers=st.dictionaries(st.sampled_from(["ce-id", "ce-type", "é"]), st.sampled_from(["1", "", "é"]) | VALUES),
    delivery_mode=st.sampled_from([1, 2]),
)
FOREIGN = st.builds(
    BasicProperties,
    content_type=SHORT,
    content_encoding=SHORT,
    headers=HEADERS,
    delivery_mode=st.none() | st.integers(0, 255),
    priority=st.none() | st.integers(0, 255),
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration=SHORT,
    message_id=SHORT,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    type=SHORT,
    user_id=SHORT,
    app_id=SHORT,
    cluster_id=SHORT,
)


def by_the_client(channel, exchange, key, properties, body):
    publish = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
    pieces = [body[start : start + MOST] for start in range(0, len(body), MOST)]
    frames = [frame.Method(channel, publish), frame.Header(channel, len(body), properties)]
    return [each.marshal() for each in (*frames, *(frame.Body(channel, piece) for piece in pieces))]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 65535),
            st.sampled_from(["", "orders"]) | NAMES,
            st.sampled_from(["", "orders.new"]) | NAMES,
            OURS | FOREIGN,
            st.binary(max_size=3 * MOST),
        ),
        max_size=5,
    )
)
def test_messages_one_after_another_are_what_the_client_writes(messages):
    encoder = Encoder()
    for message in messages * 2:
        assert encoder.frames(*message, MOST) == by_the_client(*message)


@pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST, MOST + 1, 2 * MOST, 2 * MOST + 1])
def test_a_body_is_split_as_the_client_splits_it(size):
    message = 1, "", "orders", BasicProperties(headers={}), b"x" * size
    assert Encoder().frames(*message, MOST) == by_the_client(*message)


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "values",
    [(1, True, 1), ("1", 1, b"1", "1"), (Colour.RED, "red", Colour.RED), (True, "t", 1, Decimal(1)), (None, "", b"")],
)
def test_equal_values_of_other_types_are_not_taken_for_each_other(values):
    encoder = Encoder()
    for value in values:
        properties = BasicProperties(content_type="text/plain", headers={"it": value}, delivery_mode=2)
        assert encoder.properties(properties) == b"".join(properties.encode())


class AnyText:
    """Equal to what was sent before, and nothing that AMQP has."""

    __hash__ = None

    def __eq__(self, other):
        return True


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"headers": {"it": 1.5}}, UnsupportedAMQPFieldException),
        ({"headers": {"it": AnyText()}}, UnsupportedAMQPFieldException),
        ({"headers": {"it": [1.5]}}, UnsupportedAMQPFieldException),
        ({"headers": {"x" * 256: "1"}}, ShortStringTooLong),
        ({"headers": {"it": "\ud800"}}, UnicodeEncodeError),
        ({"content_type": "x" * 256}, ShortStringTooLong),
        ({"content_type": 1}, AssertionError),
        ({"content_type": []}, AssertionError),
    ],
)
def test_what_the_client_refuses_is_refused_as_it_does(changes, error):
    encoder = Encoder()
    good = {"content_type": "text/plain", "headers": {"it": "1"}, "delivery_mode": 2}
    before = encoder.properties(BasicProperties(**good))
    refused = BasicProperties(**{**good, **changes})
    with pytest.raises(error):
        refused.encode()
    with pytest.raises(error):
        encoder.properties(refused)
    assert encoder.properties(BasicProperties(**good)) == before


def test_a_routing_key_that_is_too_long_is_refused():
    with pytest.raises(ShortStringTooLong):
        Encoder().frames(1, "", "x" * 256, BasicProperties(), b"", MOST)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(_encode, "_REMEMBERED", 3)
    encoder = Encoder()
    for number in range(20):
        headers = {f"name {number}": f"value {number}", "same": "x" * 300}
        message = number + 1, "e", f"k{number}", BasicProperties(f"t{number}", None, headers, 2), b"1"
        assert encoder.frames(*message, MOST) == by_the_client(*message)
    remembered = [each for each in vars(encoder).values() if isinstance(each, dict)]
    assert len(remembered) == 3
    assert max(map(len, remembered)) <= 3
    assert "same" not in encoder._fields
