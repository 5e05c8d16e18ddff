"""Reading binary mode: bytes written by hand from the specification, native values, and what is no event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from busbridge.envelope import PREFIXES, decode, schema_version
from busbridge.errors import InvalidEnvelope

# The example of the Kafka binding, section 3.2.5.
BY_HAND = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"com.example.someevent"),
    ("ce_source", b"/mycontext/subcontext"),
    ("ce_id", b"1234-1234-1234"),
    ("ce_time", b"2018-04-05T03:56:24Z"),
    ("content-type", b"application/avro"),
]

REQUIRED = {"specversion": "1.0", "id": "id-1", "source": "checkout", "type": "shop.order-created"}


def headers(prefix: str = "ce-", /, **attributes: Any) -> list[tuple[str, object]]:
    return [(prefix + name, value) for name, value in (REQUIRED | attributes).items()]


def test_the_example_of_the_kafka_binding():
    event = decode(BY_HAND, b"\x00avro")
    assert event.attributes == {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext/subcontext",
        "id": "1234-1234-1234",
        "time": "2018-04-05T03:56:24Z",
        "datacontenttype": "application/avro",
    }
    assert event.data == b"\x00avro"
    assert event.headers == []
    assert not event.plain


@pytest.mark.parametrize("prefix", PREFIXES)
def test_all_four_prefixes_are_read(prefix: str):
    event = decode(headers(prefix, dataschema="x/3", readableby="2", tenant="a"), b"{}")
    assert (event.id, event.source, event.type) == ("id-1", "checkout", "shop.order-created")
    assert (event.version, event.readable_by) == (3, 2)
    assert event.attributes["tenant"] == "a"


def test_optional_attributes():
    event = decode(headers(partitionkey="k", correlationid="c", causationid="d"), None)
    assert (event.key, event.correlation_id, event.causation_id, event.data) == ("k", "c", "d", None)
    event = decode(headers(), None)
    assert (event.key, event.correlation_id, event.causation_id, event.version, event.readable_by) == (None,) * 5


def test_other_headers_keep_order_repeats_and_values():
    others = [("a", b"\xff"), ("b", None), ("a", 1.5), ("traceparent", "00-…"), ("x-death", [{}]), ("ce_Odd-Name", "v")]
    event = decode([others[0], *headers(), *others[1:]], b"{}")
    assert event.headers == others


def test_text_beyond_ascii_is_utf_8():
    assert decode(headers("ce_", partitionkey="Käse 🧀".encode()), b"").key == "Käse 🧀"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 31, 12, 0), "2026-01-31T12:00:00Z"),  # noqa: DTZ001 - as some clients hand it over
        (datetime(2026, 1, 31, 12, 0, tzinfo=UTC), "2026-01-31T12:00:00Z"),
        (datetime(2026, 1, 31, 12, 0, tzinfo=timezone(timedelta(hours=1))), "2026-01-31T12:00:00+01:00"),
        (b"text", "text"),
        (bytearray(b"text"), "text"),
    ],
)
def test_native_values_of_amqp_are_read_as_their_canonical_text(value: object, text: str):
    assert decode(headers(tenant=value), b"").attributes["tenant"] == text


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"\xff", object(), pytest.param(10**5000, id="long")])
def test_a_value_without_a_canonical_text_is_an_invalid_envelope(value: object):
    with pytest.raises(InvalidEnvelope, match="'tenant'"):
        decode(headers(tenant=value), b"")


@pytest.mark.parametrize("missing", REQUIRED)
@pytest.mark.parametrize("value", [None, "", b""])
def test_a_missing_or_empty_attribute_is_named(missing: str, value: object):
    with pytest.raises(InvalidEnvelope, match=f"{missing} missing or empty"):
        decode(headers(**{missing: value}), b"")


def test_everything_missing_is_named_at_once():
    with pytest.raises(InvalidEnvelope, match="specversion, id, source missing or empty"):
        decode([("ce_type", b"a")], b"")


@pytest.mark.parametrize("version", ["0.3", "1", "1.0.2", "2.0"])
def test_another_specversion_is_refused(version: str):
    with pytest.raises(InvalidEnvelope, match="specversion is"):
        decode(headers(specversion=version), b"")


def test_an_attribute_given_twice_alike_counts_once():
    assert decode([*headers("ce-"), *headers("ce_")], b"").id == "id-1"


def test_an_attribute_given_twice_with_different_values_is_refused():
    with pytest.raises(InvalidEnvelope, match="'id' is given twice"):
        decode([*headers(), ("ce-id", "id-2")], b"")


def test_a_body_without_attributes_is_plain():
    event = decode([("content-type", "text/plain"), ("a", "b")], b"hello")
    assert event.plain
    assert event.data == b"hello"
    assert event.headers == [("a", "b")]
    assert event.attributes == {"datacontenttype": "text/plain"}
    assert decode([], None).plain


def test_a_repr_shows_no_payload():
    assert repr(decode(headers(), b"secret")) == "<Event 'id-1' of 'shop.order-created' from 'checkout'>"
    assert repr(decode([], b"secret")) == "<Event without an envelope>"


@pytest.mark.parametrize(
    ("uri", "version"),
    [
        ("busbridge:contracts/shop.order-created/2", 2),
        ("https://shop.example/contracts/shop.order-created/12", 12),
        ("urn:shop:order-created:3", 3),
        ("4", 4),
        (None, None),
        ("", None),
        ("https://shop.example/order/v2", None),
        ("https://shop.example/order/2/", None),
        ("https://shop.example/order/-2", None),
        ("https://shop.example/order/²", None),
        ("https://shop.example/order/" + "9" * 5000, None),
    ],
)
def test_the_version_is_the_number_that_the_schema_ends_in(uri: str | None, version: int | None):
    assert schema_version(uri) == version
