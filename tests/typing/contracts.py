"""Contracts as users write them, for the type checkers: never run. Each `type: ignore` is an error they must find."""

from __future__ import annotations

from typing import Any, assert_type

from busbridge.contract import Contract, ContractInfo, Reader, Registry, Writer


class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=1, key="order_id"):
    order_id: str
    total_cents: int = 0


class Base(Contract):
    tenant: str


class Strict(Base, name="shop.strict", version=1, extra="forbid"):
    pass


@OrderCreated.upcaster(from_version=1)
def state_the_total(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "total_cents": 0}


@OrderCreated.upcaster(from_version=1)  # type: ignore[type-var]
def no_object(body: dict[str, Any]) -> str:
    return str(body)


order = OrderCreated(order_id="1")
OrderCreated()  # type: ignore[call-arg]
OrderCreated(order_id=1)  # type: ignore[arg-type]

assert_type(state_the_total({}), dict[str, Any])
assert_type(OrderCreated.__contract__, ContractInfo | None)
assert_type(Registry([OrderCreated, Strict]).reader("shop.order-created", 1, None, [2]), Reader)
assert_type(Writer(OrderCreated).body(order), bytes)
assert_type(Writer(OrderCreated).key(order), str | None)
