"""JSON Schema of contracts, and the catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from busbridge.contract import Contract, Writer, export, json_schema
from busbridge.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path


class Line(Contract):
    sku: str


class Order(Contract, name="test.order", version=2, readable_by=1, key="order_id"):
    """An order was placed."""

    order_id: str
    lines: tuple[Line, ...] = ()
    picture: bytes = b""


class Ping(Contract, name="test.ping", version=1):
    pass


def test_the_schema_is_valid_and_carries_the_metadata():
    schema = json_schema(Order)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "busbridge:contracts/test.order/2"
    assert (schema["x-readable-by"], schema["x-key"]) == (1, "order_id")
    assert schema["description"] == "An order was placed."


def test_what_a_writer_makes_fits_the_schema():
    validator = Draft202012Validator(json_schema(Order))
    body = json.loads(Writer(Order).body(Order(order_id="1", lines=(Line(sku="a"),), picture=b"\xff")))
    validator.validate(body)
    assert not validator.is_valid({"lines": []})


def test_export_writes_a_file_for_each_version(tmp_path: Path):
    assert export([Order, Ping], tmp_path) == [tmp_path / "test.order" / "2.json", tmp_path / "test.ping" / "1.json"]
    assert json.loads((tmp_path / "test.order" / "2.json").read_text()) == json_schema(Order)


def test_export_tells_what_changed(tmp_path: Path):
    export([Order, Ping], tmp_path)
    assert export([Order, Ping], tmp_path) == []
    assert export([Order], tmp_path, catalog="https://shop.example/") == [tmp_path / "test.order" / "2.json"]


def test_an_abstract_base_has_no_schema_of_its_own(tmp_path: Path):
    with pytest.raises(ContractError, match="abstract base"):
        export([Line], tmp_path)
