"""Opening fails, or is cancelled, at each step; what was entered before is left, once, and nothing else lives on."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest

from busbridge import Bus, ClosedError, Service, TransportError
from busbridge.errors import PositionLost
from busbridge.memory import MemoryTransport
from busbridge.memory._source import MemorySource
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed, Reserved

STEPS = ["open", "provision", "subscribe", "close"]


@pytest.fixture
def events():
    return []


@pytest.fixture
def service(events):
    @asynccontextmanager
    async def lifespan():
        events.append("entered")
        try:
            yield
        finally:
            events.append("left")

    made = Service("stock", publishes=[Reserved], lifespan=lifespan)
    for name in ("reserve", "again"):
        made.subscription(name).handles(Placed)(handler)
    return made


async def handler(_: Placed) -> None: ...


@pytest.fixture
def watched(monkeypatch, events):
    """Counts what is opened and closed on either transport."""
    for step in ("open", "close"):
        original = getattr(MemoryTransport, step)

        async def recorded(self, step=step, original=original):
            events.append(step)
            await original(self)

        monkeypatch.setattr(MemoryTransport, step, recorded)


def breaking(monkeypatch, step, how, on=2):
    """The `on`-th call of `step` ends by `how`: an error, or waiting for ever."""
    original, calls = getattr(MemoryTransport, step), []
    reached = asyncio.Event()

    async def broken(self, *arguments):
        calls.append(self)
        if len(calls) == on:
            reached.set()
            if how is not None:
                raise how
            await asyncio.Event().wait()
        return await original(self, *arguments)

    monkeypatch.setattr(MemoryTransport, step, broken)
    return reached


@pytest.fixture
def config(config):
    config["services"]["stock"]["subscriptions"]["again"] = {"from": "history"}
    config["routes"]["shop.placed"] = {"to": ["orders", "history"]}
    return config


def alive():
    gc.collect()
    return [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]


@pytest.mark.parametrize("on", [1, 2])
@pytest.mark.parametrize("step", ["open", "provision", "subscribe"])
async def test_a_step_that_fails_leaves_what_was_entered(config, service, events, watched, monkeypatch, step, on):
    breaking(monkeypatch, step, TransportError("the line is cut"), on)
    bus = Bus(service, config, transports=MemoryTransports())
    with pytest.raises(TransportError, match="line is cut"):
        async with bus:
            raise AssertionError("it must not open")
    assert events.count("entered") == events.count("left") == 1
    assert events[-1] == "left"
    assert events.count("close") >= events.count("open") > 0 or step == "open"
    assert not alive()
    with pytest.raises(ClosedError):
        await bus.publish(Reserved(order_id="7"))


@pytest.mark.parametrize("step", ["open", "provision", "subscribe"])
async def test_a_step_that_is_cancelled_leaves_what_was_entered(config, service, events, watched, monkeypatch, step):
    reached = breaking(monkeypatch, step, None)
    opening = asyncio.ensure_future(Bus(service, config, transports=MemoryTransports()).__aenter__())
    await reached.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert events.count("entered") == events.count("left") == 1
    assert not alive()


async def test_a_transport_that_can_not_close_keeps_nothing_else_from_leaving(config, service, events, monkeypatch):
    breaking(monkeypatch, "close", TransportError("the line is cut"), on=1)
    with pytest.raises(TransportError, match="line is cut"):
        async with Bus(service, config, transports=MemoryTransports()):
            pass
    assert events == ["entered", "left"]
    assert not alive()


async def test_leaving_that_is_cancelled_still_leaves_everything(config, service, events, watched, monkeypatch):
    reached = breaking(monkeypatch, "close", None, on=1)
    bus = Bus(service, config, transports=MemoryTransports())
    await bus.__aenter__()
    leaving = asyncio.ensure_future(bus.__aexit__(None, None, None))
    await reached.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert events.count("open") == 2
    assert events[-1] == "left"
    assert not alive()


async def test_an_error_of_the_lifespan_passes_at_either_end(config, events):
    for when in ("enter", "leave"):

        @asynccontextmanager
        async def lifespan(when=when):
            if when == "enter":
                raise LookupError("no shelf at enter")
            yield
            raise LookupError("no shelf at leave")

        service = Service("stock", lifespan=lifespan)
        service.subscription("reserve").handles(Placed)(handler)
        service.subscription("again").handles(Placed)(handler)
        with pytest.raises(LookupError, match=f"no shelf at {when}"):
            async with Bus(service, config, transports=MemoryTransports()):
                pass
        assert not alive()


async def test_a_source_that_can_not_close_cuts_off_no_handler_of_another_subscription(config, events, monkeypatch):
    """Subscriptions stop together; the lifespan is left after the last handler, also where one of them fails."""
    begun, original = asyncio.Event(), MemorySource.close

    async def close(self):
        await original(self)
        if "handled" not in events:
            raise TransportError("the line is cut")

    @asynccontextmanager
    async def lifespan():
        try:
            yield
        finally:
            events.append("left")

    service = Service("stock", publishes=[Placed], lifespan=lifespan)
    service.subscription("again").handles(Placed, when=lambda _: False)(handler)

    @service.subscription("reserve").handles(Placed)
    async def slow(_: Placed) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        events.append("handled")

    monkeypatch.setattr(MemorySource, "close", close)
    with pytest.raises(TransportError, match="line is cut"):
        async with Bus(service, config, transports=MemoryTransports()) as bus:
            await bus.publish(Placed(order_id="7"))
            await begun.wait()
    assert events == ["handled", "left"]
    assert not alive()


async def test_two_subscriptions_that_stop_unasked_raise_one_error_and_leave_no_other_unseen(
    config, service, monkeypatch, caplog
):
    async def receive(self):
        raise PositionLost("reserve", "orders", 0, committed=10, low=500, high=600)

    monkeypatch.setattr(MemorySource, "receive", receive)
    with pytest.raises(PositionLost):
        async with Bus(service, config, transports=MemoryTransports()) as bus:
            await bus.serve()
    gc.collect()
    assert not alive()
    assert not [each for each in caplog.records if "never retrieved" in each.getMessage()]
    assert sum("has stopped" in each.getMessage() for each in caplog.records) == 2


async def test_publishing_after_leaving_is_a_closed_error(config, service):
    async with Bus(service, config, transports=MemoryTransports()) as bus:
        pass
    for publish in (bus.publish(Reserved(order_id="7")), bus.publish_many([Reserved(order_id="7")])):
        with pytest.raises(ClosedError, match="<Bus of 'stock', closed"):
            await publish
    with pytest.raises(ClosedError):
        await bus.__aenter__()
