"""Services, subscriptions and handlers as they are written."""

from __future__ import annotations

import functools

import pytest

from busbridge import Context, Contract, HandlerError, Service
from tests.runtime.conftest import Placed, Reserved


class Abstract(Contract):
    order_id: str


def test_the_decorated_function_stays_the_function():
    subscription = Service("stock").subscription("reserve")

    async def handler(order: Placed) -> None: ...

    assert subscription.handles(Placed)(handler) is handler


def test_a_second_subscription_of_one_name_is_refused():
    service = Service("stock")
    service.subscription("reserve")
    with pytest.raises(HandlerError, match="'stock' has a subscription 'reserve' already"):
        service.subscription("reserve")


@pytest.mark.parametrize(
    "function",
    [lambda: None, lambda a, b, c: None, lambda order, *, context: None],
    ids=["none", "three", "keyword"],
)
def test_a_handler_takes_a_message_and_perhaps_a_context(function):
    with pytest.raises(HandlerError, match=r"must take \(message\) or \(message, context\)"):
        Service("stock").subscription("reserve").handles(Placed)(function)


def test_an_abstract_contract_can_not_be_handled():
    with pytest.raises(HandlerError, match="Abstract, an abstract contract"):
        Service("stock").subscription("reserve").handles(Abstract)(lambda order: None)


def test_a_handler_that_could_never_be_reached_is_refused():
    subscription = Service("stock").subscription("reserve")
    subscription.handles(Placed, Reserved, name="first")(lambda message: None)
    with pytest.raises(HandlerError, match="never reached for Placed: 'first', declared before it, takes all"):
        subscription.handles(Placed, when=lambda order: True, name="second")(lambda message: None)


def test_handlers_of_one_subscription_have_different_names():
    subscription = Service("stock").subscription("reserve")
    subscription.handles(Placed, name="one")(lambda message: None)
    with pytest.raises(HandlerError, match="two handlers named 'one'"):
        subscription.handles(Reserved, name="one")(lambda message: None)


def test_what_is_async_and_what_takes_a_context_is_seen_through_partial_and_callable_objects():
    async def with_context(order: Placed, context: Context) -> None: ...

    class Callable:
        async def __call__(self, order: Placed) -> None: ...

    subscription = Service("stock").subscription("reserve")
    subscription.handles(Placed, name="partial", when=bool)(functools.partial(with_context))
    subscription.handles(Placed, name="object", when=bool)(Callable())
    subscription.handles(Placed, name="plain")(lambda order, *, optional=None: None)
    described = [(each.name, each.is_async, each.takes_context) for each in subscription.handlers]
    assert described == [("partial", True, True), ("object", True, False), ("plain", False, False)]


def test_a_second_parameter_takes_the_context_also_if_it_has_a_default():
    subscription = Service("stock").subscription("reserve")

    @subscription.handles(Placed)
    async def defaulted(order: Placed, context: Context[None] | None = None) -> None: ...

    @subscription.handles(Reserved)
    async def keyword(order: Reserved, *, clock: object = None) -> None: ...

    assert [each.takes_context for each in subscription.handlers] == [True, False]


def test_a_service_knows_every_contract_once():
    service = Service("stock", publishes=[Reserved])
    service.subscription("reserve").handles(Placed, Reserved)(lambda message: None)
    assert service.contracts == (Reserved, Placed)


def test_reprs_are_status_lines():
    service = Service("stock", publishes=[Reserved])
    subscription = service.subscription("reserve")
    assert repr(service) == "<Service 'stock', publishes 1, subscriptions 1>"
    assert repr(subscription) == "<Subscription 'reserve' of 'stock', handlers 0>"
