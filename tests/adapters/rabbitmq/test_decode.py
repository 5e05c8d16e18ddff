"""Properties from the wire: as the client decodes them, except where that loses or breaks something."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.exceptions import InvalidFieldTypeException
from pika.spec import BasicProperties

from busbridge_rabbitmq import _decode

NAMES = st.text(max_size=20)
SCALARS = st.one_of(
    st.text(),
    st.binary(),
    st.booleans(),
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**33).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
SHORT = st.none() | st.text(min_size=1, max_size=50)


@given(
    st.builds(
        BasicProperties,
        content_type=SHORT,
        content_encoding=SHORT,
        headers=st.none() | st.dictionaries(NAMES, VALUES, max_size=5),
        delivery_mode=st.sampled_from([None, 1, 2]),
        priority=st.none() | st.integers(0, 255),
        correlation_id=SHORT,
        reply_to=SHORT,
        expiration=SHORT,
        message_id=SHORT,
        timestamp=st.none() | st.integers(0, 2**63),
        type=SHORT,
        user_id=SHORT,
        app_id=SHORT,
        cluster_id=SHORT,
    )
)
def test_everything_the_client_writes_is_read_back(properties):
    assert vars(_decode.Decoder().properties(b"".join(properties.encode()), 0)) == vars(properties)


def table(*fields):
    body = b"".join(bytes([len(name)]) + name.encode() + kind + raw for name, kind, raw in fields)
    return _decode.table(struct.pack(">I", len(body)) + body, 0)[0]


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (b"d", struct.pack(">d", 1.5), 1.5),
        (b"f", struct.pack(">f", -0.25), -0.25),
        (b"D", struct.pack(">Bi", 2, 150), Decimal("1.50")),
        (b"T", struct.pack(">Q", 1_700_000_000_000), 1_700_000_000_000),  # milliseconds: no such year
        (b"S", struct.pack(">I", 2) + b"\xff\xfe", b"\xff\xfe"),
        (b"s", struct.pack(">h", -2), -2),
        (b"u", struct.pack(">H", 65535), 65535),
        (b"V", b"", None),
    ],
)
def test_a_foreign_value_is_kept(kind, raw, value):
    assert table(("it", kind, raw), ("next", b"t", b"\x01")) == {"it": value, "next": True}


def test_a_kind_that_amqp_does_not_have_is_an_error():
    with pytest.raises(InvalidFieldTypeException):
        table(("it", b"?", b""))
