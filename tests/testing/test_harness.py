"""What users test with."""

from __future__ import annotations

import asyncio

import pytest

from busbridge import Context, Contract, ContractError, Service, UndeclaredContract
from busbridge.errors import InvalidEnvelope
from busbridge.testing import NotSettled, RecordingContext, harness


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


class Reserved(Contract, name="shop.reserved", version=1, key="order_id"):
    order_id: str


class Shipped(Contract, name="shop.shipped", version=1, key="order_id"):
    order_id: str


class Abstract(Contract):
    pass


def chain():
    """Three services in a row: Placed -> Reserved -> Shipped."""
    stock, depot = Service("stock", publishes=[Reserved]), Service("depot", publishes=[Shipped])

    @stock.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        await asyncio.sleep(0)
        context.publish(Reserved(order_id=order.order_id))

    @depot.subscription("ship").handles(Reserved)
    async def ship(order: Reserved, context: Context) -> None:
        await asyncio.sleep(0)
        context.publish(Shipped(order_id=order.order_id))

    return stock, depot


async def test_without_a_configuration_services_find_each_other():
    async with harness(*chain()) as bus:
        await bus.publish_many(Placed(order_id=str(n)) for n in range(50))
        await bus.settled()
        assert {each.order_id for each in bus.published(Shipped)} == {str(n) for n in range(50)}
        assert bus.published(Placed) == [], "what the test published is not the services' doing"


async def test_settled_waits_for_the_whole_flow():
    async with harness(*chain()) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(bus.published(Shipped)) == 1


async def test_settled_waits_for_nothing_when_nothing_is_left():
    async with harness(*chain()) as bus:
        settled = asyncio.ensure_future(bus.settled())
        for _ in range(100):  # turns of the event loop: what waits for a time or for an event is not done after them
            await asyncio.sleep(0)
        assert settled.done()
        await settled


async def test_settled_within_no_time_says_whether_something_is_left():
    service, gate = Service("stock"), asyncio.Event()

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed) -> None:
        await gate.wait()

    async with harness(service) as bus:
        await bus.settled(seconds=0)
        message_id = await bus.publish(Placed(order_id="7"))
        with pytest.raises(NotSettled, match=message_id):
            await bus.settled(seconds=0)
        gate.set()
        await bus.settled()


async def test_several_failures_come_as_a_group_and_only_once():
    service = Service("stock")

    @service.subscription("reserve").handles(Placed)
    async def handler(order: Placed) -> None:
        raise RuntimeError(order.order_id)

    async with harness(service) as bus:
        await bus.publish_many([Placed(order_id="1"), Placed(order_id="2")])
        with pytest.raises(BaseExceptionGroup) as caught:
            await bus.settled()
        assert [str(each) for each in caught.value.exceptions] == ["1", "2"]
        await bus.settled()
        assert len(bus.dead) == 2


async def test_failures_come_at_the_end_where_the_test_did_not_wait():
    service, failed = Service("stock"), asyncio.Event()

    @service.subscription("reserve").handles(Placed, fatal=(RuntimeError,))
    async def handler(_: Placed) -> None:
        failed.set()
        raise RuntimeError("unseen")

    with pytest.raises(RuntimeError, match="unseen"):
        async with harness(service) as bus:
            await bus.publish(Placed(order_id="1"))
            await failed.wait()


async def test_redeliver_repeats_a_message_with_its_id():
    service, seen = Service("stock"), []

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed, context: Context) -> None:
        seen.append(context.message_id)

    async with harness(service) as bus:
        message_id = await bus.publish(Placed(order_id="1"))
        await bus.redeliver(message_id)
        await bus.settled()
    assert seen == [message_id] * 2


async def test_a_contract_that_no_service_knows_can_not_be_published():
    async with harness(Service("stock", publishes=[Reserved])) as bus:
        with pytest.raises(UndeclaredContract):
            await bus.publish(Placed(order_id="1"))


async def test_a_bus_that_is_not_there_is_told_with_those_that_are():
    async with harness(Service("depot"), Service("billing")) as bus:
        with pytest.raises(KeyError, match="no service here is named 'depo'; there are: depot, billing"):
            bus.bus("depo")


async def test_a_handler_is_called_by_hand_with_a_recording_context():
    async def handler(order: Placed, context: Context[str]) -> None:
        assert context.resources == "shelves"
        assert (context.source, context.headers) == ("shop", {"tenant": "north"})
        context.publish(Reserved(order_id=order.order_id))
        context.publish(Shipped(order_id=order.order_id))

    context = RecordingContext(resources="shelves", source="shop", headers={"tenant": "north"})
    await handler(Placed(order_id="7"), context)
    assert context.published == [Reserved(order_id="7"), Shipped(order_id="7")]
    assert context.published_of(Shipped) == [Shipped(order_id="7")]


def test_a_recording_context_is_as_strict_as_a_bus():
    context = RecordingContext()
    with pytest.raises(ContractError, match="abstract"):
        context.publish(Abstract())
    with pytest.raises(InvalidEnvelope):
        context.publish(Placed(order_id="1"), headers={"ce-id": "x"})
    with pytest.raises(TypeError, match="not a dict"):
        context.publish({"order_id": "1"})
    assert context.published == []
    assert context.correlation_id == context.message_id


async def test_the_plugin_runs_async_tests():
    assert asyncio.get_running_loop().is_running()


PROJECT = """
import pytest
from busbridge import Contract, Service
from busbridge.testing import harness

class Tick(Contract, name="test.tick", version=1):
    number: int

@pytest.fixture
def value():
    return 3

async def test_async_with_a_fixture(value):
    assert value == 3
    service = Service("clock")
    service.subscription("ticks").handles(Tick)(lambda tick: None)
    async with harness(service) as bus:
        await bus.publish(Tick(number=value))
        await bus.settled()
        assert bus.bus("clock").counts["ticks"].handled == 1

async def test_that_fails():
    assert False
"""


def test_the_plugin_in_a_users_project(pytester):
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
