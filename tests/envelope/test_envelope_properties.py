"""Whatever is written is read back; whatever comes in is an event or an InvalidEnvelope."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from busbridge.contract import ContractInfo
from busbridge.envelope import PREFIXES, Encoder, decode
from busbridge.errors import InvalidEnvelope

texts = st.text(min_size=1)
other_names = texts.filter(lambda name: not name.startswith(PREFIXES) and name != "content-type")
others = st.lists(st.tuples(other_names, st.text()), max_size=4)

attribute_names = st.sampled_from(["specversion", "id", "source", "type", "dataschema", "readableby", "data", "Xö", ""])
native = st.none() | st.binary() | st.text() | st.booleans() | st.integers() | st.floats() | st.datetimes()
names = st.text() | st.builds(str.__add__, st.sampled_from(PREFIXES), attribute_names) | st.just("content-type")
content_types = st.sampled_from(["application/cloudevents+json", "APPLICATION/CLOUDEVENTS+JSON;", "application/json"])
json_values = st.recursive(
    native.filter(lambda value: isinstance(value, (str, int, float, type(None)))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(PREFIXES), texts, texts, texts, texts, st.booleans(), others, st.none() | st.binary())
def test_what_is_written_is_read_back(
    prefix: str,
    message_id: str,
    key: str,
    correlation_id: str,
    causation_id: str,
    as_bytes: bool,
    extra: list[tuple[str, str]],
    body: bytes | None,
):
    encoder = Encoder(ContractInfo("shop.order-created", 7, 3), prefix=prefix, source="checkout")
    written = encoder.headers(
        message_id, "now", key=key, correlation_id=correlation_id, causation_id=causation_id, extra=extra
    )
    carried = [(name, value.encode()) for name, value in written] if as_bytes else written
    event = decode(carried, body)
    assert (event.id, event.source, event.type) == (message_id, "checkout", "shop.order-created")
    assert (event.version, event.readable_by, event.key) == (7, 3, key)
    assert (event.correlation_id, event.causation_id) == (correlation_id, causation_id)
    assert event.data == body
    assert event.headers == carried[len(written) - len(extra) :]


@settings(max_examples=200)
@given(st.lists(st.tuples(names, native | st.lists(native)), max_size=8), st.none() | st.binary())
def test_any_headers_are_an_event_or_an_invalid_envelope(headers: list[tuple[str, object]], body: bytes | None):
    with contextlib.suppress(InvalidEnvelope):
        event = decode(headers, body)
        assert event.plain or (event.id and event.source and event.type)


@given(content_types, st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_structured_body_is_an_event_or_an_invalid_envelope(content_type: str, body: bytes):
    with contextlib.suppress(InvalidEnvelope):
        decode([("content-type", content_type)], body)


@given(st.dictionaries(attribute_names | st.sampled_from(["data", "data_base64", "datacontenttype"]), json_values))
def test_any_structured_object_is_an_event_or_an_invalid_envelope(members: dict[str, object]):
    whole = {"specversion": "1.0", "id": "1", "source": "a", "type": "b"} | members
    with contextlib.suppress(InvalidEnvelope):
        event = decode([("content-type", "application/cloudevents+json")], json.dumps(whole).encode())
        assert all(type(value) is str for value in event.attributes.values())
