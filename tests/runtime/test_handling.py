"""What becomes of a delivery."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from busbridge import Bus, Context, PublishError, Service, UndeclaredContract
from busbridge.runtime import MemoryTransports
from busbridge.testing import NotSettled, harness
from tests.runtime.conftest import Placed, Reserved


def stock_service(publishes=(Reserved,)):
    service = Service("stock", publishes=publishes)
    return service, service.subscription("reserve")


async def test_a_message_reaches_its_handler_and_what_it_publishes_goes_out(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="7")]
        assert bus.bus("stock").counts["reserve"].handled == 1


async def test_nothing_is_published_by_an_attempt_that_raised(config):
    service, reserve = stock_service()
    attempts = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        context.publish(Reserved(order_id=order.order_id))
        if len(attempts) < 3:
            raise RuntimeError("not yet")

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert attempts == [1, 2, 3]
        assert bus.published(Reserved) == [Reserved(order_id="7")]


async def test_what_a_handler_publishes_has_the_same_id_when_it_runs_again(config):
    """T6: a consumer can tell that a repeated consequence is the same message."""
    service, reserve = stock_service()
    ids: list[list[str]] = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        ids.append([context.publish(Reserved(order_id=order.order_id)) for _ in range(2)])

    async with harness(service, config=config) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.redeliver(message_id)
        await bus.settled()
    first, second = ids
    assert first == second
    assert first[0] != first[1]


async def test_consequences_carry_correlation_and_causation(config):
    config["services"]["audit"] = {"subscriptions": {"watch": {"from": "events"}}}
    service, reserve = stock_service()
    audit = Service("audit")
    seen = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id), headers={"shelf": "12"})

    @audit.subscription("watch").handles(Reserved)
    async def watch(_: Reserved, context: Context) -> None:
        seen.append((context.source, context.correlation_id, context.causation_id, context.headers["shelf"]))

    async with harness(service, audit, config=config) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.settled()
    assert seen == [("stock", message_id, message_id, "12")]


async def test_a_handler_that_always_raises_makes_a_dead_letter_after_the_declared_attempts(config):
    config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {"attempts": 5}
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        calls.append(order)
        raise RuntimeError("broken shelf")

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(calls) == 5
        assert [(each.subscription, str(each.error)) for each in bus.dead] == [("reserve", "broken shelf")]
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}


async def test_a_fatal_error_is_not_tried_again(config):
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed, fatal=(LookupError,))
    async def handler(order: Placed) -> None:
        calls.append(order)
        raise KeyError(order.order_id)

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(calls) == 1
        assert bus.bus("stock").counts["reserve"].dead == {"fatal": 1}


async def test_the_harness_raises_the_handlers_own_error(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        raise ZeroDivisionError(order.order_id)

    with pytest.raises(ZeroDivisionError):
        async with harness(service, config=config) as bus:
            await bus.publish(Placed(order_id="7"))
            await bus.settled()


async def test_plain_functions_run_in_threads_and_leave_the_loop_free(config):
    service, reserve = stock_service()
    started, proceed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @reserve.handles(Placed)
    def handler(order: Placed, context: Context) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(proceed.wait(), loop).result(5)
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await asyncio.wait_for(started.wait(), 5)
        proceed.set()
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="7")]


async def test_a_plain_function_that_returns_an_awaitable_is_told_to_be_async(config):
    service, reserve = stock_service()

    async def really(order: Placed) -> None: ...

    reserve.handles(Placed)(lambda order: really(order))  # noqa: PLW0108 - a plain function, which is the point
    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert "declare it `async def`" in str(bus.dead[0].error)


async def test_when_chooses_the_handler_and_the_rest_is_discarded_by_the_rule_filtered(config):
    service, reserve = stock_service()
    taken = []

    @reserve.handles(Placed, when=lambda order: order.cents > 100)
    async def large(order: Placed) -> None:
        taken.append(("large", order.cents))

    @reserve.handles(Placed, when=lambda order: order.cents > 10)
    async def small(order: Placed) -> None:
        taken.append(("small", order.cents))

    async with harness(service, config=config) as bus:
        await bus.publish_many(Placed(order_id="7", cents=cents) for cents in (1, 50, 500))
        await bus.settled()
        assert taken == [("small", 50), ("large", 500)]
        assert bus.bus("stock").counts["reserve"].discarded == {"filtered": 1}


async def test_publishing_what_is_not_declared_is_an_error_that_names_the_remedy(config):
    service, reserve = stock_service(publishes=())

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    with pytest.raises(UndeclaredContract, match="add the class to Service"):
        async with harness(service, config=config) as bus:
            await bus.publish(Placed(order_id="7"))
            await bus.settled()


@pytest.mark.parametrize(("destination", "fate"), [("orders", "dead"), ("events", "discarded")])
async def test_a_contract_without_a_handler_dies_on_a_queue_and_is_discarded_on_a_topic(config, destination, fate):
    config["routes"]["shop.placed"] = {"to": destination}
    config["services"]["stock"]["subscriptions"]["reserve"]["from"] = destination
    service, reserve = stock_service(publishes=(Placed,))

    @reserve.handles(Reserved)
    async def handler(_: Reserved) -> None: ...

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        counts = bus.bus("stock").counts["reserve"]
        assert (counts.dead if fate == "dead" else counts.discarded) == {"not_handled": 1}


async def test_a_refused_consequence_makes_a_dead_letter_at_once(config):
    """The handler is not run again: another attempt would be refused the same way."""
    config["destinations"]["events"]["unrouted"] = "error"
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        calls.append(order)
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(calls) == 1
        (dead,) = bus.dead
        assert isinstance(dead.error, PublishError)
        assert [each.destination for each in dead.error.outcomes] == ["events"]
        assert bus.bus("stock").counts["reserve"].dead == {"publish_refused": 1}


async def test_a_cancelled_error_out_of_nowhere_is_a_failure_not_the_end_of_the_lane(config):
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        calls.append(order.order_id)
        if order.order_id == "bad":
            raise asyncio.CancelledError

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="bad"))
        await bus.publish(Placed(order_id="good"))
        await bus.settled()
        assert calls == ["bad", "bad", "bad", "good"]


async def test_settled_names_what_nobody_handled(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(_: Placed) -> None:
        await asyncio.get_running_loop().create_future()

    config["stop"] = {"grace": "1ms"}
    async with harness(service, config=config) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        with pytest.raises(NotSettled, match=message_id):
            await bus.settled(seconds=0.05)


async def test_a_handler_cut_off_by_the_grace_settles_nothing_and_the_message_comes_back(config):
    config["stop"] = {"grace": "1ms"}
    transports = MemoryTransports()
    service, reserve = stock_service()
    started = asyncio.Event()
    calls = []

    @reserve.handles(Placed)
    async def handler(_: Placed, context: Context) -> None:
        calls.append(context.delivery.redelivered)
        started.set()
        if len(calls) == 1:
            await asyncio.get_running_loop().create_future()

    outside = Service("outside", publishes=[Placed])
    async with Bus(outside, config, transports=transports) as out:
        async with Bus(service, config, transports=transports) as first:
            await out.publish(Placed(order_id="7"))
            await asyncio.wait_for(started.wait(), 5)
        assert first.counts["reserve"].released == 1
        started.clear()
        async with Bus(service, config, transports=transports) as second:
            await asyncio.wait_for(started.wait(), 5)
        assert second.counts["reserve"].handled == 1
    assert calls == [False, True]


async def test_a_graceful_stop_finishes_what_is_in_flight_and_sends_its_consequences(config):
    transports = MemoryTransports()
    service, reserve = stock_service()
    started, proceed = asyncio.Event(), asyncio.Event()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        started.set()
        await proceed.wait()
        context.publish(Reserved(order_id=order.order_id))

    outside = Service("outside", publishes=[Placed])
    async with Bus(outside, config, transports=transports) as out:
        async with asyncio.TaskGroup() as group:
            async with Bus(service, config, transports=transports) as bus:
                await out.publish(Placed(order_id="7"))
                await asyncio.wait_for(started.wait(), 5)
                group.create_task(_soon(proceed))
            assert bus.counts["reserve"].handled == 1


async def _soon(event: asyncio.Event) -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    event.set()


async def test_one_key_is_handled_in_order_also_by_many_lanes(config):
    config["routes"]["shop.placed"] = {"to": "history"}
    config["services"]["stock"]["subscriptions"]["reserve"] = {"from": "history", "concurrency": 8}
    service, reserve = stock_service()
    seen: dict[str, list[int]] = {}
    running: set[str] = set()

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        assert order.order_id not in running
        running.add(order.order_id)
        await asyncio.sleep(0)
        seen.setdefault(order.order_id, []).append(order.cents)
        running.discard(order.order_id)

    async with harness(service, config=config) as bus:
        await bus.publish_many(Placed(order_id=str(n % 16), cents=n) for n in range(800))
        await bus.settled()
    assert seen == {str(key): list(range(key, 800, 16)) for key in range(16)}


async def test_what_is_no_message_is_an_error_of_the_handler_in_words(config):
    service, reserve = stock_service()

    @reserve.handles(Placed, fatal=TypeError)
    async def handler(order: Placed, context: Context) -> None:
        context.publish(order.model_dump())

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert str(bus.dead[0].error) == "publish takes an instance of a contract, not a dict"


async def test_resources_are_made_for_the_bus_seen_by_handlers_and_left_after_them(config):
    events: list[str] = []

    @asynccontextmanager
    async def lifespan():
        events.append("made")
        yield events
        events.append("left")

    service = Service("stock", lifespan=lifespan)

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed, context: Context[list[str]]) -> None:
        context.resources.append("handled")

    async with harness(service, config=config) as bus:
        assert bus.bus("stock").resources is events
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
    assert events == ["made", "handled", "left"]
