"""The class statement of a contract: metadata, abstract bases, and errors that say where."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, Field, Json, PrivateAttr, ValidationError, model_validator

from busbridge.contract import Contract, info_of, is_name, parse_ref
from busbridge.errors import BusbridgeError, ContractError


class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=1, key="order_id"):
    order_id: str
    total_cents: int = 0


def define(**keywords: Any) -> type[Contract]:
    class Defined(Contract, **keywords):
        order_id: str
        total: float = 0.0

    return Defined


def test_metadata_is_on_the_class():
    info = info_of(OrderCreated)
    assert (info.name, info.version, info.readable_by, info.key) == ("shop.order-created", 2, 1, "order_id")
    assert info.ref == "shop.order-created@2"
    assert info.schema_uri() == "busbridge:contracts/shop.order-created/2"
    assert info.schema_uri("https://shop.example/contracts/") == "https://shop.example/contracts/shop.order-created/2"


def test_metadata_knows_where_the_class_stands():
    line = inspect.getsourcelines(OrderCreated)[1]
    assert info_of(OrderCreated).location == f"{__file__}:{line}"


def test_a_first_version_is_readable_by_itself():
    assert info_of(define(name="shop.a", version=1)).readable_by == 1


def test_a_class_that_states_nothing_is_an_abstract_base():
    class Base(Contract):
        order_id: str

    class Concrete(Base, name="shop.concrete", version=1, key="order_id"):
        pass

    assert Base.__contract__ is None
    assert info_of(Concrete).key == "order_id"
    with pytest.raises(ContractError, match=r"Base: an abstract base is no contract"):
        info_of(Base)


def test_a_subclass_never_inherits_metadata_or_upcasters():
    class Parent(Contract, name="shop.parent", version=2, readable_by=2):
        pass

    @Parent.upcaster(from_version=1)
    def lift(body: dict[str, Any]) -> dict[str, Any]:
        return body

    class Child(Parent):
        pass

    assert Child.__contract__ is None
    assert Child.__upcasters__ == {}
    assert Parent.__upcasters__ == {1: lift}
    assert Contract.__upcasters__ == {}


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"name": "shop.a"}, "needs a version"),
        ({"version": 1}, "needs a name"),
        ({"key": "order_id"}, "needs a name"),
        ({"nmae": "shop.a", "version": 1}, "unknown keyword 'nmae'; did you mean 'name'?"),
        ({"forzen": True}, "unknown keyword 'forzen'; did you mean 'frozen'?"),
        ({"colour": "red"}, "unknown keyword 'colour'"),
        ({"name": "Shop.A", "version": 1}, "lower-case words"),
        ({"name": "shop..a", "version": 1}, "lower-case words"),
        ({"name": "a" * 201, "version": 1}, "at most 200"),
        ({"name": 5, "version": 1}, "name=5 must be"),
        ({"name": "shop.a", "version": 0}, "version=0"),
        ({"name": "shop.a", "version": "1"}, "version='1'"),
        ({"name": "shop.a", "version": True}, "version=True"),
        ({"name": "shop.a", "version": 2}, "readable_by is needed from version 2"),
        ({"name": "shop.a", "version": 2, "readable_by": 3}, "from 1 to 2"),
        ({"name": "shop.a", "version": 2, "readable_by": 0}, "from 1 to 2"),
        ({"name": "shop.a", "version": 1, "key": "orderid"}, "key='orderid' is no field; did you mean 'order_id'?"),
        ({"name": "shop.a", "version": 1, "key": 7}, "key=7 is no field"),
        ({"name": "shop.a", "version": 1, "key": "total"}, "key='total': values of its type may be absent"),
    ],
)
def test_wrong_metadata_is_an_error_that_names_the_problem_and_the_class(keywords: dict[str, Any], problem: str):
    with pytest.raises(ContractError, match=re.escape(problem)) as caught:
        define(**keywords)
    line = inspect.getsourcelines(define)[1] + 1
    assert str(caught.value).startswith(f"{__name__}.define.<locals>.Defined ({__file__}:{line}): ")
    assert isinstance(caught.value, BusbridgeError)


def test_keywords_of_pydantic_keep_working():
    assert define(name="shop.a", version=1, frozen=False, extra="forbid").model_config["extra"] == "forbid"


def test_messages_are_immutable_unless_asked_otherwise():
    order = OrderCreated(order_id="1")
    with pytest.raises(ValidationError):
        order.order_id = "2"  # type: ignore[misc]
    mutable = define(name="shop.a", version=1, frozen=False)(order_id="1")
    mutable.order_id = "2"  # type: ignore[attr-defined]
    assert mutable.model_dump()["order_id"] == "2"


def test_errors_of_pydantic_do_not_show_the_input():
    with pytest.raises(ValidationError) as caught:
        OrderCreated(order_id="1", total_cents="4111-1111")  # type: ignore[arg-type]
    assert "4111" not in str(caught.value)


class Line(Contract):
    sku: str = Field(alias="code")
    amount: int = Field(default=1, gt=0)


class Basket(Contract, name="test.basket", version=1, key="name", extra="allow"):
    name: str
    total: int = Field(default=0, ge=0)
    kind: Literal["big", "small"] = "small"
    lines: tuple[Line, ...] = Field(default=(), alias="rows")
    first: str = Field(default="", validation_alias=AliasPath("names", 0))
    second: str = Field(default="", validation_alias=AliasPath("names", 1))
    note: str | None = Field(default=None, validation_alias=AliasChoices("remark", "comment"))
    meta: Json[dict[str, int]] | None = None
    _seen: list[str] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.kind == "big" and self.total < 10:
            raise ValueError("a big one has a total of 10 or more")
        return self


names = st.none() | st.text(max_size=3)
totals = st.integers(-5, 20) | st.just("12") | st.none()
rows = st.just(({"code": "a"},)) | st.just([Line(code="b", amount=2)]) | st.just([{"code": "a", "amount": 0}])
metas = st.none() | st.just('{"a": 1}') | st.just("no json")
FIELDS = {
    "name": names,
    "total": totals,
    "kind": st.sampled_from(["big", "small", "other"]),
    "lines": rows,
    "note": names,
    "meta": metas,
    "more": st.integers(),
}
ALIASES = {"lines": "rows", "note": "remark"}


def built(fields: dict[str, Any]) -> Basket | list[Any]:
    """By its aliases; what is wrong, where something is."""
    return tried(lambda: Basket(**{ALIASES.get(name, name): value for name, value in fields.items()}))


def tried(make: Any) -> Basket | list[Any]:
    try:
        return make()
    except ValidationError as error:
        return [(each["loc"], each["type"]) for each in error.errors()]


updates = st.fixed_dictionaries({}, optional=FIELDS)


@given(updates, updates, st.booleans())
def test_a_copy_that_is_changed_is_what_constructing_it_makes(given: Any, update: Any, deep: bool):
    fields = {"name": "a"} | given
    basket = built(fields)
    if isinstance(basket, list):
        return
    changed, expected = tried(lambda: basket.model_copy(update=update, deep=deep)), built(fields | update)
    assert changed == expected
    if isinstance(changed, Basket) and isinstance(expected, Basket):
        assert changed.model_fields_set == expected.model_fields_set
        assert changed.model_extra == expected.model_extra


def test_a_copy_that_is_changed_keeps_what_is_not_changed_as_it_is():
    basket = Basket(name="a", rows=[Line(code="x")], names=["b", "c"], meta='{"a": 1}')
    basket._seen.append("once")
    changed = basket.model_copy(update={"total": 5})
    assert (changed.lines[0] is basket.lines[0], changed.meta is basket.meta) == (True, True)
    assert (changed.first, changed.second, changed._seen) == ("b", "c", ["once"])
    assert changed.model_fields_set == {"name", "lines", "first", "second", "meta", "total"}
    assert basket.total == 0
    assert basket.model_copy(update={"second": "d"}).second == "d"


def test_a_default_that_was_not_given_counts_as_not_given_and_stays():
    class Either(Contract, name="test.either", version=1):
        left: list[int] = Field(default_factory=list)
        right: list[int] = Field(default_factory=list)
        note: str = ""

        @model_validator(mode="after")
        def check(self) -> Self:
            if {"left", "right"} <= self.model_fields_set:
                raise ValueError("only one of them")
            return self

    either = Either(left=[1])
    changed = either.model_copy(update={"note": "a"})
    assert (changed.right is either.right, changed.model_fields_set) == (True, {"left", "note"})
    with pytest.raises(ValidationError, match="only one of them"):
        either.model_copy(update={"right": [2]})


def test_a_field_that_there_is_none_of_is_what_it_is_where_a_message_is_constructed():
    message = define(name="shop.a", version=1)(order_id="1")
    changed = message.model_copy(update={"colour": "red"})
    assert (changed == message, hasattr(changed, "colour")) == (True, False)
    with pytest.raises(ValidationError, match="colour"):
        define(name="shop.b", version=1, extra="forbid")(order_id="1").model_copy(update={"colour": "red"})


def test_a_strict_contract_is_changed_as_any_other():
    changed = define(name="shop.a", version=1, strict=True)(order_id="1").model_copy(update={"order_id": "2"})
    assert changed.model_dump()["order_id"] == "2"


def test_a_message_that_did_not_fit_can_be_mended_and_not_changed_otherwise():
    broken = Basket.model_construct(name="a", total=-5)
    assert broken.model_copy(update={"total": 5}) == Basket(name="a", total=5)
    with pytest.raises(ValidationError, match="total"):
        broken.model_copy(update={"name": "b"})


@pytest.mark.parametrize("name", ["a", "shop.order-created", "shop.v2-order", "a-b-c.d9"])
def test_names(name: str):
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "a.", "-a", "a-", "a--b", "a_b", "A", "a.#", "a.*", "9a", "a b", "é", "a\n"])
def test_what_is_no_name(name: str):
    assert not is_name(name)


def test_a_ref_is_a_name_and_a_version():
    assert parse_ref("shop.order-created@12") == ("shop.order-created", 12)


@pytest.mark.parametrize("ref", ["shop.order", "shop.order@", "shop.order@0", "shop.order@x", "Shop@1", "@1", "a@1@2"])
def test_what_is_no_ref(ref: str):
    with pytest.raises(ValueError, match=r"contract|version"):
        parse_ref(ref)
