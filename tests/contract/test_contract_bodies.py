"""Bodies: what a writer makes, a reader reads back; what does not fit is an error without values in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, Json, ValidationError, computed_field
from pydantic_core import PydanticSerializationError

from busbridge.contract import Contract, Reader, Writer
from busbridge.errors import ContractError, InvalidMessage


class Line(Contract):
    sku: str
    amount: Decimal


class Order(Contract, name="test.order", version=1, key="order_id"):
    order_id: UUID
    placed: datetime
    lines: tuple[Line, ...] = ()
    note: str | None = Field(default=None, alias="remark")
    picture: bytes = b""
    meta: Json[dict[str, int] | None] = None
    weight: float = 0.0

    @computed_field
    def size(self) -> int:
        return len(self.lines)


lines = st.builds(Line, sku=st.text(max_size=9), amount=st.decimals(allow_nan=False, allow_infinity=False))
orders = st.builds(
    Order,
    order_id=st.uuids(),
    placed=st.datetimes(timezones=st.just(UTC)),
    lines=st.lists(lines, max_size=3),
    remark=st.none() | st.text(),
    picture=st.binary(),
    meta=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3).map(json.dumps),
    weight=st.floats(allow_nan=False, allow_infinity=False),
)


@given(orders)
def test_what_is_written_is_read_back_equal(order: Order):
    assert Reader(Order).read(Writer(Order).body(order)) == order


def test_a_body_is_plain_json_by_the_names_of_the_wire():
    order = Order(order_id=UUID(int=1), placed=datetime(2026, 1, 31, tzinfo=UTC), remark="née", picture=b"\xff")
    assert json.loads(Writer(Order).body(order)) == {
        "order_id": "00000000-0000-0000-0000-000000000001",
        "placed": "2026-01-31T00:00:00Z",
        "lines": [],
        "remark": "née",
        "picture": "_w==",
        "meta": "null",
        "weight": 0.0,
    }


def test_unknown_fields_are_ignored_so_that_old_readers_read_new_versions():
    body = b'{"sku": "a", "amount": "1", "colour": "red"}'

    class Known(Line, name="test.known", version=1):
        pass

    assert Reader(Known).read(body) == Known(sku="a", amount=Decimal(1))


def test_bytes_travel_as_base64url_and_are_read_in_either_alphabet():
    class Blob(Contract, name="test.blob", version=1):
        data: bytes

    assert Writer(Blob).body(Blob(data=b"\xfb\xff")) == b'{"data":"-_8="}'
    for text in ("-_8=", "-_8", "+/8="):
        assert Reader(Blob).read(f'{{"data": "{text}"}}'.encode()) == Blob(data=b"\xfb\xff")


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"null", b"{}", b"\xff", b'{"sku":"\\ud800"}', None])
def test_a_body_that_does_not_fit_is_an_invalid_message(body: bytes | None):
    with pytest.raises(InvalidMessage, match=r"the body is no test\.order@1: ") as caught:
        Reader(Order).read(body)
    assert isinstance(caught.value.__cause__, ValidationError)


@given(st.binary())
def test_no_body_is_another_error(body: bytes):
    with pytest.raises(InvalidMessage):
        Reader(Order).read(body)


def test_an_invalid_message_tells_the_fields_but_no_value():
    body = b'{"order_id": "secret-1", "placed": "secret-2", "lines": [{"sku": "a", "amount": "secret-3"}]}'
    with pytest.raises(InvalidMessage) as caught:
        Reader(Order).read(body)
    text = f"{caught.value} {caught.value.__cause__}"
    assert "lines.0.amount: " in text
    assert "order_id: " in text
    assert "secret" not in text


def test_an_invalid_message_lists_a_few_errors_only():
    body = json.dumps({"lines": [{}] * 100}).encode()
    with pytest.raises(InvalidMessage, match="and 197 more") as caught:
        Reader(Order).read(body)
    assert len(str(caught.value)) < 300


def test_numbers_that_json_has_no_word_for_are_refused_where_the_message_is_made():
    with pytest.raises(ValidationError, match="finite number"):
        Order(order_id=UUID(int=1), placed=datetime(2026, 1, 31, tzinfo=UTC), weight=float("nan"))


def test_a_message_that_no_longer_fits_its_contract_is_not_written():
    order = Order.model_construct(order_id="not a UUID", placed=datetime(2026, 1, 31, tzinfo=UTC))
    with pytest.raises(PydanticSerializationError):
        Writer(Order).body(order)


def test_an_abstract_base_can_neither_be_read_nor_written():
    with pytest.raises(ContractError, match="abstract base"):
        Reader(Line)
    with pytest.raises(ContractError, match="abstract base"):
        Writer(Line)


def test_a_reader_and_a_writer_say_what_they_are_for():
    assert repr(Reader(Order)) == "<Reader of test.order@1>"
    assert repr(Writer(Order)) == "<Writer of test.order@1>"
