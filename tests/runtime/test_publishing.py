"""The publishing side of a bus."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from busbridge import Bus, ClosedError, PublishError, Service, UndeclaredContract
from busbridge.errors import InvalidEnvelope, MessageRefused
from busbridge.runtime import MemoryTransports
from busbridge.transport import Status
from tests.runtime.conftest import Placed, Reserved

PUBLISHER = Service("outside", publishes=[Placed, Reserved])


@pytest.fixture
def transports():
    return MemoryTransports()


async def received(config, transports, count, contract=Placed):
    """What a subscription of `orders` gets: (message, context facts), until `count` arrived."""
    service = Service("stock")
    found, complete = [], asyncio.Event()

    @service.subscription("reserve").handles(contract)
    async def handler(message, context) -> None:
        found.append((message, context.message_id, context.source, dict(context.headers)))
        if len(found) == count:
            complete.set()

    async with Bus(service, config, transports=transports):
        await asyncio.wait_for(complete.wait(), 5)
    return found


async def test_publish_returns_the_id_that_arrives(config, transports):
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        message_id = await bus.publish(Placed(order_id="7"), headers={"tenant": "north"})
        chosen = await bus.publish(Placed(order_id="8"), message_id="chosen")
        found = await received(config, transports, 2)
    assert found == [
        (Placed(order_id="7"), message_id, "outside", {"tenant": "north"}),
        (Placed(order_id="8"), chosen, "outside", {}),
    ]


async def test_publish_many_keeps_the_order_and_returns_every_id(config, transports):
    config["services"]["stock"]["subscriptions"]["reserve"]["concurrency"] = 1
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        ids = await bus.publish_many(Placed(order_id="7", cents=cents) for cents in range(1700))
        found = await received(config, transports, 1700)
    assert [each[1] for each in found] == ids
    assert [each[0].cents for each in found] == list(range(1700))


async def test_a_refused_message_is_reported_and_the_rest_goes_on(config, transports):
    config["destinations"]["events"]["unrouted"] = "error"
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        with pytest.raises(PublishError) as caught:
            await bus.publish_many([Placed(order_id="7"), Reserved(order_id="8"), Placed(order_id="9")])
        (outcome,) = caught.value.outcomes
        assert (outcome.destination, outcome.status) == ("events", Status.REFUSED)
        assert isinstance(outcome.error, MessageRefused)
        assert outcome.message == Reserved(order_id="8")
        assert len(await received(config, transports, 2)) == 2


async def test_resend_sends_what_was_missing_to_where_it_was_missing_with_the_same_id(config, transports):
    """T20: a route of two destinations has two outcomes."""
    config["destinations"]["events"]["unrouted"] = "error"
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        with pytest.raises(PublishError) as caught:
            await bus.publish(Reserved(order_id="8"), message_id="m1")
        assert [(each.message_id, each.destination) for each in caught.value.outcomes] == [("m1", "events")]
        del config["services"]["stock"]["subscriptions"]["reserve"]
        config["services"]["stock"]["subscriptions"]["reserve"] = {"from": "events"}
        stock = Service("stock")
        seen, complete = [], asyncio.Event()

        @stock.subscription("reserve").handles(Reserved)
        async def handler(message, context) -> None:
            seen.append(context.message_id)
            complete.set()

        async with Bus(stock, config, transports=transports):
            await bus.resend(caught.value)
            await asyncio.wait_for(complete.wait(), 5)
    assert seen == ["m1"]


async def test_bad_publishes_send_nothing(config, transports):
    async with Bus(Service("outside", publishes=[Placed]), config, transports=transports) as bus:
        with pytest.raises(UndeclaredContract, match=r"shop\.reserved@1"):
            await bus.publish(Reserved(order_id="7"))
        with pytest.raises(InvalidEnvelope, match="choose another"):
            await bus.publish(Placed(order_id="7"), headers={"ce-id": "stolen"})
        with pytest.raises(InvalidEnvelope, match="message_id is empty"):
            await bus.publish(Placed(order_id="7"), message_id="")
        with pytest.raises(Exception, match="cents"):
            await bus.publish(Placed.model_construct(order_id="7", cents="many"))
        with pytest.raises(ValidationError, match="cents"):
            await bus.publish(Placed(order_id="7").model_copy(update={"cents": None}))
        with pytest.raises(Exception, match="order_id"):
            await bus.publish(Placed.model_construct(order_id=None))
        await bus.publish(Placed(order_id="good"))
        found = await received(config, transports, 1)
    assert [each[0].order_id for each in found] == ["good"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"order_id": "7"}, "publish takes an instance of a contract, not a dict"),
        (None, "publish takes an instance of a contract, not a NoneType"),
        (Placed, r"not the class Placed: make an instance, Placed\(\.\.\.\)"),
    ],
    ids=["dict", "nothing", "class"],
)
async def test_what_is_no_message_is_refused_in_words_wherever_it_is_published(
    config, transports, given, words, tmp_path
):
    config["services"]["outside"] = {"store": {"url": f"sqlite:///{tmp_path}/outside.db"}}
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        for publish in (bus.publish, lambda message: bus.publish_many([message])):
            with pytest.raises(TypeError, match=words):
                await publish(given)
        with pytest.raises(TypeError, match=words):
            await bus.publish(given, delay=1)
        async with bus.transaction() as tx:
            with pytest.raises(TypeError, match=words):
                tx.publish(given)


async def test_a_closed_bus_says_so(config, transports):
    bus = Bus(PUBLISHER, config, transports=transports)
    for use in (lambda: bus.publish(Placed(order_id="7")), lambda: bus.cancel("7"), bus.scheduled):
        with pytest.raises(ClosedError, match=r"new.* is not open yet: use `async with Bus\(\.\.\.\)`$"):
            await use()
    for use in (lambda: bus.read("history", Placed), lambda: bus.replay("reserve"), bus.dead_letters, bus.transaction):
        with pytest.raises(ClosedError, match="is not open yet"):
            use()
    async with bus:
        pass
    with pytest.raises(ClosedError, match=r"is closed$"):
        await bus.publish(Placed(order_id="7"))
    with pytest.raises(ClosedError):
        await bus.__aenter__()


async def test_closing_waits_for_what_is_being_published(config, transports):
    async with Bus(PUBLISHER, config, transports=transports) as bus:
        publishing = asyncio.ensure_future(bus.publish(Placed(order_id="7")))
        await asyncio.sleep(0)
    assert await publishing
