"""Upcasters: one step each, on examples; whatever they do wrong names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busbridge.contract import Contract, Reader, Registry
from busbridge.errors import ContractError, InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable


class Order(Contract, name="test.order", version=3, readable_by=3):
    order_id: str
    total_cents: int
    currency: str


@Order.upcaster(from_version=1)
def pounds_to_pence(body: dict[str, Any]) -> dict[str, Any]:
    body["total_cents"] = round(body.pop("total") * 100)
    return body


@Order.upcaster(from_version=2)
def state_the_currency(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "currency": "GBP"}


def reader(version: int) -> Reader:
    return Registry([Order]).reader("test.order", version, None, [3])


def lifting_by(upcaster: Callable[[Any], Any]) -> Reader:
    class Lifted(Contract, name="test.lifted", version=2, readable_by=2):
        pass

    Lifted.upcaster(from_version=1)(upcaster)
    return Registry([Lifted]).reader("test.lifted", 1, None, [2])


def test_a_version_1_is_lifted_by_two_steps():
    order = reader(1).read(b'{"order_id": "a", "total": 1.5}')
    assert order == Order(order_id="a", total_cents=150, currency="GBP")


def test_a_version_2_is_lifted_by_one_step():
    assert reader(2).read(b'{"order_id": "a", "total_cents": 150}') == reader(1).read(b'{"order_id":"a","total":1.5}')


def test_a_version_3_is_not_touched():
    order = reader(3).read(b'{"order_id": "a", "total_cents": 150, "currency": "EUR"}')
    assert order == Order(order_id="a", total_cents=150, currency="EUR")


def test_a_second_attempt_begins_from_the_original_though_the_step_changes_what_it_gets():
    body = b'{"order_id": "a", "total": 1.5}'
    assert reader(1).read(body) == reader(1).read(body)


def test_a_lifted_body_is_validated_by_the_rules_of_json():
    with pytest.raises(InvalidMessage, match=r"the body is no test\.order@3: total_cents: "):
        reader(2).read(b'{"order_id": "a", "total_cents": "many"}')


def test_the_function_is_returned_unchanged():
    def lift(body: dict[str, Any]) -> dict[str, Any]:
        return body

    class Lifted(Contract, name="test.lifted", version=2, readable_by=2):
        pass

    assert Lifted.upcaster(from_version=1)(lift) is lift


@pytest.mark.parametrize(
    ("from_version", "problem"),
    [(0, "no step leads"), (3, "no step leads"), (4, "no step leads"), (1, "there is one from version 1 already")],
)
def test_a_step_that_can_not_stand_there_is_an_error_that_says_where(from_version: int, problem: str):
    with pytest.raises(ContractError, match=problem) as caught:
        Order.upcaster(from_version=from_version)(state_the_currency)
    assert "test_contract_upcasting.Order (" in str(caught.value)
    assert "upcaster state_the_currency (" in str(caught.value)


@pytest.mark.parametrize("from_version", [state_the_currency, "1", True, None])
def test_a_step_without_its_version_is_an_error_that_says_what_to_write(from_version: Any):
    with pytest.raises(ContractError, match=r"write @Order\.upcaster\(from_version=1\)") as caught:
        Order.upcaster(from_version)
    assert "test_contract_upcasting.Order (" in str(caught.value)


def test_a_coroutine_function_is_no_step():
    async def lift(body: dict[str, Any]) -> dict[str, Any]:
        return body

    class Lifted(Contract, name="test.lifted", version=2, readable_by=2):
        pass

    with pytest.raises(ContractError, match=r"upcaster .*lift \(.*\): it is `async def`"):
        Lifted.upcaster(from_version=1)(lift)  # type: ignore[type-var]


def test_an_abstract_base_takes_no_upcaster():
    class Base(Contract):
        pass

    with pytest.raises(ContractError, match="abstract base"):
        Base.upcaster(from_version=1)(state_the_currency)


def test_an_upcaster_that_fails_is_named_and_is_the_cause():
    with pytest.raises(InvalidMessage, match=r"upcaster pounds_to_pence \(.*:\d+\) .* failed with KeyError") as caught:
        reader(1).read(b'{"order_id": "a"}')
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("returned", [None, [], "text"])
def test_an_upcaster_that_returns_no_object_is_named(returned: object):
    with pytest.raises(InvalidMessage, match=r"what upcaster .*<lambda>.* returned is no JSON object"):
        lifting_by(lambda _: returned).read(b"{}")


def test_an_upcaster_that_returns_what_json_can_not_say_is_named():
    with pytest.raises(InvalidMessage, match=r"what upcaster .*<lambda>.* returned can't be said in JSON"):
        lifting_by(lambda _: {"value": object()}).read(b"{}")


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"NaN", b'{"a": NaN}', b"\xff", b"[" * 10_000, None])
def test_a_body_that_is_no_object_is_an_invalid_message(body: bytes | None):
    with pytest.raises(InvalidMessage, match=r"the body of version 1 of 'test\.order' is "):
        reader(1).read(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Anything(Contract, name="test.anything", version=2, readable_by=1):
    value: Any


@Anything.upcaster(from_version=1)
def unchanged(body: dict[str, Any]) -> dict[str, Any]:
    return body


@given(json_values)
def test_lifting_alone_changes_nothing(value: Any):
    registry = Registry([Anything])
    body = Anything(value=value).model_dump_json().encode()
    lifted = registry.reader("test.anything", 1, None, [2]).read(body)
    assert lifted == registry.reader("test.anything", 2, None, [2]).read(body)
