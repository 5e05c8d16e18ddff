"""Reading structured mode: the whole event is the body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from busbridge.envelope import decode
from busbridge.errors import InvalidEnvelope

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
REQUIRED: dict[str, Any] = {"specversion": "1.0", "id": "id-1", "source": "checkout", "type": "shop.order-created"}


def read(body: bytes | None, content_type: str = CONTENT_TYPE, *more: tuple[str, object]) -> Any:
    return decode([("content-type", content_type), *more], body)


def event(**members: Any) -> bytes:
    return json.dumps(REQUIRED | members).encode()


def test_an_event_written_by_hand():
    # After the example of the JSON format, section 3.
    found = read(
        b"""{
            "specversion" : "1.0",
            "type" : "com.example.someevent",
            "source" : "/mycontext",
            "subject": null,
            "id" : "C234-1234-1234",
            "time" : "2018-04-05T17:31:00Z",
            "comexampleextension1" : "value",
            "comexampleothervalue" : 5,
            "unsetextension": null,
            "datacontenttype" : "application/json",
            "dataschema": "https://shop.example/contracts/a/2",
            "data" : {"appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true}
        }"""
    )
    assert found.attributes == {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "C234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        "comexampleextension1": "value",
        "comexampleothervalue": "5",
        "datacontenttype": "application/json",
        "dataschema": "https://shop.example/contracts/a/2",
    }
    assert json.loads(found.data) == {"appinfoA": "abc", "appinfoB": 123, "appinfoC": True}


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json", "Application/CloudEvents+JSON ;charset=utf-8"]
)
def test_the_content_type_decides_in_any_case(content_type: str):
    assert read(event(), content_type).id == "id-1"
    assert decode([("content-type", content_type.encode())], event()).id == "id-1"


def test_attributes_may_come_as_headers_too_and_the_body_holds():
    found = read(event(data={}), CONTENT_TYPE, ("ce_id", b"other"), ("ce_type", b"shop.order-created"), ("a", "b"))
    assert (found.id, found.headers) == ("id-1", [("a", "b")])


@pytest.mark.parametrize(
    ("members", "data"),
    [
        ({"data": {"a": [1, None, "é"]}}, '{"a":[1,null,"é"]}'.encode()),
        ({"data": "text"}, b'"text"'),
        ({"data": "text", "datacontenttype": "text/plain"}, b"text"),
        ({"data": "text", "datacontenttype": "application/problem+json"}, b'"text"'),
        ({"data": None}, b"null"),
        ({"data_base64": "AP8="}, b"\x00\xff"),
        ({"data_base64": None, "data": 1}, b"1"),
        ({}, None),
    ],
)
def test_data(members: dict[str, Any], data: bytes | None):
    assert read(event(**members)).data == data


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "no JSON"),
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": NaN}', "no JSON"),
        (b"[]", "no JSON object, but list"),
        (b"{}", "specversion, id, source, type missing or empty"),
        (event(id=""), "id missing or empty"),
        (event(specversion="0.3"), "specversion is '0.3'"),
        (event(tenant=["a"]), "'tenant' is of type list"),
        (event(Tenant="a"), "'Tenant', which is no legal name"),
        (event(**{"x-tenant": "a"}), "'x-tenant', which is no legal name"),
        (event(data=1, data_base64="AA=="), "both data and data_base64"),
        (event(data_base64="?"), "no base64"),
        (event(data_base64=1), "no string"),
    ],
)
def test_a_malformed_event_is_an_invalid_envelope_that_says_what_is_wrong(body: bytes | None, problem: str):
    with pytest.raises(InvalidEnvelope, match=problem):
        read(body)


@pytest.mark.parametrize("content_type", ["application/cloudevents", "application/cloudevents-batch+json"])
def test_other_formats_are_refused_by_name(content_type: str):
    with pytest.raises(InvalidEnvelope, match=r"read as application/cloudevents\+json, not as"):
        read(event(), content_type)
