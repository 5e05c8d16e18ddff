"""Services, subscriptions and handlers as they are written."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest

from busbridge import Bus, Context, Contract, HandlerError, Service
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed, Reserved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


async def _without_yield() -> None: ...


async def _undecorated() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("lifespan", "words"),
    [
        (_undecorated, "is not decorated: put @contextlib.asynccontextmanager above it"),
        (functools.partial(_undecorated), "is not decorated"),
        (_without_yield, "is `async def` without a `yield`: decorate"),
        (asynccontextmanager(_undecorated)(), "was called already: give the function itself, without"),
        (5, "is 5, which can't be called: decorate"),
    ],
    ids=["undecorated", "partial", "without yield", "called", "number"],
)
def test_a_lifespan_that_can_not_be_entered_is_refused_with_the_service_and_the_remedy(lifespan, words):
    with pytest.raises(HandlerError, match=f"lifespan= of service 'stock' {words}"):
        Service("stock", lifespan=lifespan)


@pytest.mark.parametrize(
    ("lifespan", "kind"),
    [
        (contextmanager(lambda: iter([1])), "_GeneratorContextManager"),
        (lambda: _undecorated(), "async_generator"),  # noqa: PLW0108 - a plain function around one
        (lambda: _without_yield(), "coroutine"),  # noqa: PLW0108 - as above
        (dict, "dict"),
    ],
    ids=["not async", "undecorated", "coroutine", "dict"],
)
async def test_what_only_calling_a_lifespan_tells_is_refused_when_the_bus_opens(config, lifespan, kind):
    service = Service("outside", lifespan=lifespan)
    with pytest.raises(HandlerError, match=f"lifespan= of service 'outside' gives a {kind}, no async context manager"):
        await Bus(service, config, transports=MemoryTransports()).__aenter__()


@pytest.mark.parametrize(
    ("publishes", "words"),
    [
        (Placed, r"is one class: give a list, \[Placed\]"),
        ("shop.placed", "is the text 'shop.placed': give a list of classes"),
    ],
    ids=["class", "text"],
)
def test_what_a_service_publishes_is_a_list(publishes, words):
    with pytest.raises(HandlerError, match=f"publishes= of service 'stock' {words}"):
        Service("stock", publishes=publishes)


def test_a_second_parameter_takes_the_context_also_if_its_default_is_none():
    subscription = Service("stock").subscription("reserve")

    @subscription.handles(Placed)
    async def defaulted(order: Placed, context: Context[None] | None = None) -> None: ...

    @subscription.handles(Reserved)
    async def keyword(order: Reserved, *, clock: object = None) -> None: ...

    assert [each.takes_context for each in subscription.handlers] == [True, False]


def test_a_second_parameter_with_a_value_of_its_own_keeps_it():
    subscription = Service("stock").subscription("reserve")

    @subscription.handles(Placed)
    async def closure(order: Placed, shelf: int = 3) -> None: ...

    assert [each.takes_context for each in subscription.handlers] == [False]


def test_a_service_knows_every_contract_once():
    service = Service("stock", publishes=[Reserved])
    service.subscription("reserve").handles(Placed, Reserved)(lambda message: None)
    assert service.contracts == (Reserved, Placed)


def test_reprs_are_status_lines():
    service = Service("stock", publishes=[Reserved])
    subscription = service.subscription("reserve")
    assert repr(service) == "<Service 'stock', publishes 1, subscriptions 1>"
    assert repr(subscription) == "<Subscription 'reserve' of 'stock', handlers 0>"
