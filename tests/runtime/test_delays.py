"""Attempts that wait at the broker, in a service without a store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from busbridge import Bus, Context, Service
from busbridge.errors import ConfigurationError
from busbridge.memory import MemoryTransport
from busbridge.retry import read_record
from busbridge.routing import load
from busbridge.runtime import MemoryTransports
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved

KINDS = ["queue", "topic", "stream"]


def stock_service():
    service = Service("stock", publishes=[Placed, Reserved])
    return service, service.subscription("reserve")


def with_delays(config, kind="queue", **retry):
    """The subscription on a destination of a kind, with attempts that wait."""
    config["routes"]["shop.placed"] = {"to": {"queue": "orders", "topic": "events", "stream": "history"}[kind]}
    reserve = {"from": config["routes"]["shop.placed"]["to"], "retry": {"immediate": 1, "first": "20ms", **retry}}
    config["services"]["stock"]["subscriptions"]["reserve"] = reserve | {"ordered": False}
    return config


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_comes_again_after_each_delay_with_its_id_its_attempt_and_its_position(config, kind):
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        now = asyncio.get_running_loop().time()
        seen.append((now, context.message_id, context.delivery.attempt, context.delivery.position, context.headers))
        if context.delivery.attempt < 4:
            raise RuntimeError("not yet")

    async with harness(service, config=with_delays(config, kind, attempts=4, max="90ms")) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        counts = bus.bus("stock").counts["reserve"]
        assert (counts.handled, counts.scheduled) == (1, 3)
    times, ids, attempts, positions, headers = zip(*seen, strict=True)
    assert attempts == (1, 2, 3, 4)
    assert len(set(ids)) == len(set(positions)) == 1
    assert [list(each) for each in headers] == [[], *[["busbridge-first-failed"]] * 3]
    waited = [later - earlier for earlier, later in pairwise(times)]
    assert all(delay >= tier for delay, tier in zip(waited, (0.02, 0.09, 0.09), strict=True)), waited


@pytest.mark.parametrize("kind", KINDS)
async def test_the_dead_letter_counts_all_attempts_and_says_where_the_message_stood(config, kind):
    service, reserve = stock_service()
    positions = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        positions.append(context.delivery.position)
        raise RuntimeError("never")

    transports = MemoryTransports()
    config = with_delays(config, kind, attempts=5, immediate=2)
    async with Bus(service, config, transports=transports) as bus, asyncio.timeout(5):
        await bus.publish(Placed(order_id="7"))
        while not bus.counts["reserve"].dead:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    (plan,) = load(config).subscriptions()
    (letter,) = transports.brokers[plan.destination.transport].dead_letters(plan)
    record = read_record(letter.body, letter.headers)
    assert (len(positions), record.attempts) == (5, 5)
    assert len(set(positions)) == 1
    stood = positions[0]
    assert record.position == ("" if stood is None else f"{stood.partition}:{stood.offset}")
    assert record.origin == plan.destination.physical
    assert [name for name, _ in record.headers if name.startswith("busbridge-")] == ["busbridge-first-failed"]
    assert record.first_time < record.time


async def test_one_that_waits_keeps_nobody_waiting(config):
    service, reserve = stock_service()
    order_of_success = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        if order.order_id == "late" and context.delivery.attempt == 1:
            raise RuntimeError("not yet")
        order_of_success.append(order.order_id)

    async with harness(service, config=with_delays(config, attempts=2, first="50ms")) as bus:
        for order_id in ("late", "1", "2", "3"):
            await bus.publish(Placed(order_id=order_id))
        await bus.settled()
    assert order_of_success == ["1", "2", "3", "late"]


async def test_only_the_subscription_that_failed_gets_the_message_again(config):
    service = Service("stock", publishes=[])
    calls = []

    @service.subscription("reserve").handles(Placed)
    async def failing(order: Placed, context: Context) -> None:
        calls.append("reserve")
        if context.delivery.attempt < 3:
            raise RuntimeError("not yet")

    @service.subscription("count").handles(Placed)
    async def content(order: Placed) -> None:
        calls.append("count")

    config = with_delays(config, "stream", attempts=3)
    config["services"]["stock"]["subscriptions"]["count"] = {"from": "history"}
    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
    assert sorted(calls) == ["count", "reserve", "reserve", "reserve"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_waits_when_a_bus_closes_comes_to_the_next_one(config, kind):
    service, reserve = stock_service()
    attempts = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        attempts.append(context.delivery.attempt)
        if context.delivery.attempt == 1:
            raise RuntimeError("not yet")

    transports = MemoryTransports()
    config = with_delays(config, kind, attempts=2, first="300ms")
    async with Bus(service, config, transports=transports) as bus, asyncio.timeout(5):
        await bus.publish(Placed(order_id="7"))
        while not bus.counts["reserve"].scheduled:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    async with Bus(service, config, transports=transports), asyncio.timeout(5):
        while len(attempts) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert attempts == [1, 2]


def test_a_transport_that_can_not_let_attempts_wait_is_told_of_at_load(config, monkeypatch):
    monkeypatch.setattr(MemoryTransport, "capabilities", replace(MemoryTransport.capabilities, delays=False))
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None: ...

    async def opened():
        async with Bus(service, with_delays(config), transports=MemoryTransports()):
            pass

    with pytest.raises(ConfigurationError, match=r"reserve\.retry: transport 'rabbit' can't let attempts wait"):
        asyncio.run(opened())
