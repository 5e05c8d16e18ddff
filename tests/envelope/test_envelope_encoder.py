"""Writing: the headers of a message, as the wire format has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from busbridge.contract import ContractInfo
from busbridge.envelope import Encoder, decode, names, new_id, timestamp
from busbridge.errors import ConfigurationError

FIRST = ContractInfo("shop.order-created", 1, 1)
SECOND = ContractInfo("shop.order-created", 2, 1, "order_id")

CATALOG = Path(__file__).parents[2] / "contracts"


def test_the_headers_of_a_message_with_everything():
    encoder = Encoder(SECOND, prefix="ce_", source="checkout", catalog="https://shop.example/contracts/")
    written = encoder.headers(
        "id-1", "2026-01-31T00:00:00Z", key="order-1", correlation_id="flow-1", causation_id="id-0", extra=[("a", "b")]
    )
    assert written == [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_type", "shop.order-created"),
        ("ce_source", "checkout"),
        ("ce_dataschema", "https://shop.example/contracts/shop.order-created/2"),
        ("ce_readableby", "1"),
        ("ce_id", "id-1"),
        ("ce_time", "2026-01-31T00:00:00Z"),
        ("ce_partitionkey", "order-1"),
        ("ce_correlationid", "flow-1"),
        ("ce_causationid", "id-0"),
        ("a", "b"),
    ]


def test_what_is_absent_is_not_written():
    written = Encoder(FIRST, prefix="ce-", source="checkout").headers("id-1", "2026-01-31T00:00:00Z")
    assert [name for name, _ in written] == [
        "content-type",
        "ce-specversion",
        "ce-type",
        "ce-source",
        "ce-dataschema",
        "ce-id",
        "ce-time",
    ]


def test_messages_share_no_list():
    encoder = Encoder(FIRST, prefix="ce-", source="checkout")
    encoder.headers("id-1", "now").append(("late", "header"))
    assert ("late", "header") not in encoder.headers("id-2", "now")


@pytest.mark.parametrize("source", ["", "order service", "bestellungen-ä", "a\nb"])
def test_a_source_that_is_no_uri_reference_is_refused(source: str):
    with pytest.raises(ConfigurationError, match="URI-reference"):
        Encoder(FIRST, prefix="ce-", source=source)


def test_names_are_those_that_are_written():
    written = Encoder(SECOND, prefix="ce_", source="a").headers("i", "t", key="k", correlation_id="c", causation_id="d")
    assert {name for name, _ in written} == {"content-type", *names("ce_")}


@pytest.mark.parametrize("info", [FIRST, SECOND])
def test_an_envelope_fits_the_contract_in_the_catalog(info: ContractInfo):
    schema = json.loads((CATALOG / "busbridge.envelope" / "1.json").read_text())
    Draft202012Validator.check_schema(schema)
    written = Encoder(info, prefix="ce-", source="shop").headers(new_id(), timestamp(), key="k", correlation_id="c")
    attributes = decode(written, b"{}").attributes
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(attributes)
    assert set(attributes) <= set(schema["properties"])
