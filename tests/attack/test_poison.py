"""One message, handler or error that is odd stops nobody else: it ends as a dead letter with its reason."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import field_validator

from busbridge import Contract, HandlerError, InvalidEnvelope, Registry, Service, load
from busbridge.runtime.handling._dispatch import Dispatcher
from busbridge.transport import Delivery, Session
from tests.attack.helpers import ENVELOPE, at_work
from tests.runtime.conftest import Placed


class Picky(Contract, name="shop.picky", version=1):
    order_id: str

    @field_validator("order_id")
    @classmethod
    def known(cls, value: str) -> str:
        return {"8": "8"}[value]


@pytest.fixture
def stock():
    return Service("stock")


@pytest.fixture
def reserve(stock):
    return stock.subscription("reserve")


async def test_a_validator_that_raises_something_of_its_own_makes_a_dead_letter(config, stock, reserve):
    """pydantic lets everything but ValueError and AssertionError through."""

    @reserve.handles(Picky)
    async def handler(_: Picky) -> None: ...

    headers = [*(ENVELOPE | {"ce-type": "shop.picky", "ce-dataschema": "busbridge:contracts/shop.picky/1"}).items()]
    async with at_work(stock, config) as bench:
        await bench.deliver(headers, b'{"order_id": "7"}')
        await bench.deliver(headers, b'{"order_id": "8"}')
        assert (bench.counts.handled, dict(bench.counts.dead)) == (1, {"invalid_message": 1})
    assert "KeyError" in str(bench.dead[0].error)
    assert "'7'" not in str(bench.dead[0].error)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [Unspeakable(), OSError("no such file: \udce9t\udce9")])
async def test_an_error_without_proper_words_makes_a_dead_letter_all_the_same(config, stock, reserve, error, caplog):
    """Its text can't be asked for, or can't be encoded: no reason to stop the subscription."""
    caplog.set_level(logging.CRITICAL, "busbridge.handling")  # nor can a traceback, for pytest, between processes

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        if order.order_id == "7":
            raise error

    async with at_work(stock, config) as bench:
        await bench.deliver([*ENVELOPE.items()])
        await bench.deliver([*(ENVELOPE | {"ce-id": "2"}).items()], b'{"order_id": "8"}')
        assert (bench.counts.handled, dict(bench.counts.dead)) == (1, {"failed": 1})


@pytest.mark.parametrize("name", ["ce-type", "content-type", "ce-readableby"])
def test_an_attribute_that_is_a_table_is_no_envelope(config, reserve, name):
    """A foreign AMQP client may send any field value, also one that no dict can look up."""
    reserve.handles(Placed)(lambda order: None)
    (plan,) = load(config).subscriptions()
    dispatcher = Dispatcher(plan, reserve.handlers, Registry([Placed]), ThreadPoolExecutor(1), "ce-")
    headers = [*(ENVELOPE | {name: {"a": [1]}}).items()]
    with pytest.raises(InvalidEnvelope, match="no scalar"):
        dispatcher.choose(Delivery(Session(), b"{}", headers, None))


async def test_a_contract_named_with_another_prefix_is_looked_at_each_time(config, stock, reserve):
    """What is remembered of a message must hold for the next one that looks the same."""
    got = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        got.append(order)

    odd = {name: value for name, value in ENVELOPE.items() if name != "ce-type"}
    async with at_work(stock, config) as bench:
        await bench.deliver([*odd.items(), ("cloudEvents_type", "shop.placed")])
        await bench.deliver([*odd.items(), ("cloudEvents_type", "shop.other")])
        assert len(got) == 1
        assert dict(bench.counts.dead) == {"unknown_contract": 1}


@pytest.mark.parametrize("fatal", [[KeyError], KeyError])
async def test_fatal_takes_a_list_or_one_class_as_well(config, stock, reserve, fatal):
    @reserve.handles(Placed, fatal=fatal)
    async def handler(_: Placed) -> None:
        raise KeyError("7")

    async with at_work(stock, config) as bench:
        await bench.deliver([*ENVELOPE.items()])
        assert dict(bench.counts.dead) == {"fatal": 1}


def test_what_is_no_exception_can_not_be_fatal(reserve):
    with pytest.raises(HandlerError, match=r"fatal.*'KeyError'"):
        reserve.handles(Placed, fatal=("KeyError",))(lambda order: None)


def test_a_generator_can_not_be_a_handler(reserve):
    """Calling it would run nothing, and its messages would count as handled."""

    def plain(order):
        yield order

    async def asynchronous(order):
        yield order

    for function in (plain, asynchronous):
        with pytest.raises(HandlerError, match="yield"):
            reserve.handles(Placed)(function)


def test_handles_without_its_parentheses_is_an_error_where_it_stands(reserve):
    with pytest.raises(HandlerError, match="no contract class"):

        @reserve.handles
        async def handler(order: Placed) -> None: ...


def test_what_is_no_contract_class_can_not_be_published():
    with pytest.raises(HandlerError, match=r"'stock'.*no contract class"):
        Service("stock", publishes=[Placed(order_id="7")])
