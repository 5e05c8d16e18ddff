"""`exactly_once: true`: what a handler publishes and that its message was handled is one transaction."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from busbridge import Bus, Context, Contract, Service
from busbridge.errors import AccessRefused, ConfigurationError, MessageRefused, TransactionAborted
from busbridge.memory import MemoryBroker, MemoryTransport
from busbridge.outbox import Outage
from busbridge.routing import Topology, TransportSettings, load
from busbridge.runtime import MemoryTransports
from busbridge.runtime._startup import joined
from busbridge.runtime.exactly_once._exactly import Exactly
from busbridge.runtime.handling._counts import Counts
from busbridge.testing import harness
from busbridge.transport import Entry
from tests.runtime.conftest import Placed, Reserved


class Big(Contract, name="shop.big", version=1, key="order_id"):
    order_id: str
    text: str


@pytest.fixture
def exact():
    """From one stream to another."""
    return {
        "transports": {"log": {"url": "kafka://localhost:9092"}},
        "destinations": {
            "orders": {"kind": "stream", "transport": "log", "partitions": 1},
            "history": {"kind": "stream", "transport": "log", "partitions": 2},
        },
        "routes": {"shop.placed": {"to": "orders"}, "shop.reserved": {"to": "history"}, "shop.big": {"to": "history"}},
        "services": {"stock": {"subscriptions": {"reserve": {"from": "orders", "exactly_once": True}}}},
        "stop": {"grace": "5s"},
    }


def reserving(publishes=(Reserved,), **options):
    service = Service("stock", publishes=[*publishes])

    @service.subscription("reserve").handles(Placed, **options)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    return service


async def test_what_a_handler_publishes_goes_out_with_its_message(exact):
    async with harness(reserving(), config=exact) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(50)])
        await bus.settled()
        assert sorted(each.order_id for each in bus.published(Reserved)) == sorted(str(n) for n in range(50))
        assert bus.bus("stock").counts["reserve"].handled == 50


def refused(exact, publishes=(Reserved,)):
    with pytest.raises(ConfigurationError) as caught:
        joined([reserving(publishes)], exact, MemoryTransports())
    return [str(each) for each in caught.value.faults]


def test_a_route_to_a_queue_is_refused_and_the_outbox_is_named(exact):
    exact["destinations"]["mails"] = {"kind": "queue", "transport": "log"}
    exact["routes"]["shop.reserved"] = {"to": ["history", "mails"]}
    (fault,) = refused(exact)
    assert fault.startswith(
        "the mapping: routes.shop.reserved.to: stock.reserve is `exactly_once`, and this goes to mails, which is a q"
    )
    assert "services.stock.store" in fault


def test_a_route_to_another_transport_is_refused(exact):
    exact["transports"]["other"] = {"url": "kafka://elsewhere"}
    exact["destinations"]["history"]["transport"] = "other"
    (fault,) = refused(exact)
    assert "history, which is of transport 'other', and it reads from 'log'" in fault


def test_what_the_service_does_not_publish_may_go_anywhere(exact):
    exact["destinations"]["mails"] = {"kind": "queue", "transport": "log"}
    exact["routes"]["shop.big"] = {"to": "mails"}
    joined([reserving()], exact, MemoryTransports())


def test_a_transport_without_transactions_is_refused(exact, monkeypatch):
    monkeypatch.setattr(MemoryTransport, "capabilities", replace(MemoryTransport.capabilities, transactions=False))
    (fault,) = refused(exact)
    assert "services.stock.subscriptions.reserve.exactly_once: transport 'log' has no transactions" in fault


async def test_nothing_of_an_attempt_that_raised_goes_out(exact):
    service = Service("stock", publishes=[Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=f"{order.order_id}-{context.delivery.attempt}"))
        if context.delivery.attempt < 3:
            raise RuntimeError("not yet")

    async with harness(service, config=exact) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="7-3")]


async def test_a_message_that_is_not_handled_is_a_dead_letter_and_publishes_nothing(exact):
    service = Service("stock", publishes=[Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))
        if order.order_id == "3":
            raise RuntimeError("never")

    async with harness(service, config=exact, raise_failures=False) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(6)])
        await bus.settled()
        assert sorted(each.order_id for each in bus.published(Reserved)) == ["0", "1", "2", "4", "5"]
        assert [(each.subscription, str(each.error)) for each in bus.dead] == [("reserve", "never")]


async def test_what_is_refused_is_found_among_many_and_only_its_message_is_dead(exact):
    service = Service("stock", publishes=[Big])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Big(order_id=order.order_id, text="x" * (17_000_000 if order.order_id == "3" else 1)))

    async with harness(service, config=exact, raise_failures=False) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(6)])
        await bus.settled()
        assert sorted(each.order_id for each in bus.published(Big)) == ["0", "1", "2", "4", "5"]
        counts = bus.bus("stock").counts["reserve"]
        assert (counts.handled, counts.dead) == (5, {"publish_refused": 1})


class Trouble:
    """A memory transport whose sources commit as the test says."""

    def __init__(self, broker, commit=None):
        self.broker = broker
        self.commit = commit

    def find(self, settings):
        return MemoryTransport

    def make(self, settings):
        transport = MemoryTransport(settings, self.broker)
        for way in ("subscribe_transactional", "redriven_transactional"):
            setattr(transport, way, partial(self._subscribed, getattr(transport, way)))
        return transport

    async def _subscribed(self, subscribe, plan):
        source = await subscribe(plan)
        if self.commit is not None:
            source.commit = partial(self.commit, source.commit)
        return source


async def ids_in(bus, stream="history"):
    return [each.message.order_id async for each in bus.read(stream, Reserved)]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a broker's state has no event
            await asyncio.sleep(0.005)


async def test_what_was_aborted_is_committed_later_and_its_handlers_do_not_run_again(exact):
    calls = Counter()
    aborted = []

    async def commit(honest, finished):
        if len(aborted) < 3:
            aborted.append(len(finished))
            raise TransactionAborted("stock.reserve", "the broker is away")
        await honest(finished)

    service = Service("stock", publishes=[Placed, Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        calls[order.order_id] += 1
        context.publish(Reserved(order_id=order.order_id))

    transports = Trouble(MemoryBroker(), commit)
    async with Bus(service, exact, transports=transports) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(20)])
        await transports.broker.settled()
        assert sorted(await ids_in(bus)) == sorted(calls)
        assert set(calls.values()) == {1}
        assert len(aborted) == 3


async def test_a_dead_letter_that_is_refused_again_and_again_is_tried_on(exact, monkeypatch):
    """However long that lasts: by a loop, which needs no deeper stack each time."""
    monkeypatch.setattr(Outage, "failed", lambda *_: 0.0)
    refusals = 1500

    async def commit(inner, finished):
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise MessageRefused("too_large", "history", "no")
        await inner(finished)

    service = Service("stock", publishes=[Reserved, Placed])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    async with Bus(service, exact, transports=Trouble(MemoryBroker(), commit)) as bus:
        await bus.publish(Placed(order_id="1"))
        await until(lambda: bus.counts["reserve"].dead == {"publish_refused": 1})
    assert refusals == 0


async def test_only_the_finished_head_of_a_partition_is_committed(exact):
    """What stands behind a message that is not finished would be published again after a crash."""
    exact["services"]["stock"]["subscriptions"]["reserve"] |= {"concurrency": 4, "ordered": False}
    gate = asyncio.Event()
    service = Service("stock", publishes=[Placed, Reserved])
    done = []

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))
        if order.order_id == "2":
            await gate.wait()
        done.append(order.order_id)

    transports = Trouble(MemoryBroker())
    async with Bus(service, exact, transports=transports) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(6)])
        await until(lambda: len(done) == 5)
        await until(lambda: transports.broker.outstanding == 4)
        assert sorted(await ids_in(bus)) == ["0", "1"]
        gate.set()
        await transports.broker.settled()
        assert sorted(await ids_in(bus)) == ["0", "1", "2", "3", "4", "5"]


async def test_what_was_handled_when_its_session_ended_is_handled_again_and_published_once(exact):
    exact["services"]["stock"]["subscriptions"]["reserve"] |= {"concurrency": 4, "ordered": False}
    gate = asyncio.Event()
    calls = Counter()
    service = Service("stock", publishes=[Placed, Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        calls[order.order_id] += 1
        context.publish(Reserved(order_id=order.order_id))
        if order.order_id == "0":
            await gate.wait()

    transports = Trouble(MemoryBroker())
    async with Bus(service, exact, transports=transports) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(4)])
        await until(lambda: len(calls) == 4)
        transports.broker.sever()
        gate.set()
        await transports.broker.settled()
        assert sorted(await ids_in(bus)) == ["0", "1", "2", "3"]
        assert set(calls.values()) == {2}
        assert bus.counts["reserve"].released == 4


async def test_a_stop_commits_what_is_finished_and_nothing_of_what_was_cancelled(exact):
    exact["stop"] = {"grace": "200ms"}
    exact["services"]["stock"]["subscriptions"]["reserve"] |= {"concurrency": 4, "ordered": False}
    calls = Counter()

    def stock():
        service = Service("stock", publishes=[Placed, Reserved])

        @service.subscription("reserve").handles(Placed)
        async def reserve(order: Placed, context: Context) -> None:
            calls[order.order_id] += 1
            context.publish(Reserved(order_id=order.order_id))
            if order.order_id == "3" and calls["3"] == 1:
                await asyncio.Event().wait()

        return service

    transports = Trouble(MemoryBroker())
    async with Bus(stock(), exact, transports=transports) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(6)])
        await until(lambda: len(calls) == 6)
    async with Bus(stock(), exact, transports=transports, consume=False) as bus:
        assert sorted(await ids_in(bus)) == ["0", "1", "2"]
    async with Bus(stock(), exact, transports=transports) as bus:
        await transports.broker.settled()
        assert sorted(await ids_in(bus)) == ["0", "1", "2", "3", "4", "5"]
    assert calls == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 2, "5": 2}


async def test_what_makes_it_impossible_to_commit_stops_the_subscription(exact):
    async def commit(honest, finished):
        raise AccessRefused("Kafka", None, "no such permission")

    service = reserving([Placed, Reserved])
    async with Bus(service, exact, transports=Trouble(MemoryBroker(), commit)) as bus:
        await bus.publish(Placed(order_id="7"))
        with pytest.raises(AccessRefused, match="no such permission"):
            await asyncio.wait_for(bus.serve(), 10)


async def test_while_handlers_are_at_work_messages_are_committed_together(exact, monkeypatch):
    monkeypatch.setattr("busbridge.runtime.exactly_once._exactly.INTERVAL", 0.2)
    exact["services"]["stock"]["subscriptions"]["reserve"] |= {"concurrency": 4}
    sizes = []

    async def commit(honest, finished):
        sizes.append(len(finished))
        await honest(finished)

    service = Service("stock", publishes=[Placed, Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        await asyncio.sleep(0)
        context.publish(Reserved(order_id=order.order_id))

    transports = Trouble(MemoryBroker(), commit)
    async with Bus(service, exact, transports=transports) as bus:
        await bus.publish_many([Placed(order_id=str(number)) for number in range(200)])
        await transports.broker.settled()
    assert sum(sizes) == 200
    assert len(sizes) <= 10


async def test_what_is_redriven_is_committed_together_too(exact):
    broken = True
    sizes = []

    async def commit(honest, finished):
        sizes.append(sum(len(each.entries) for each in finished))
        await honest(finished)

    service = Service("stock", publishes=[Placed, Reserved])

    @service.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))
        if broken:
            raise RuntimeError("not now")

    transports = Trouble(MemoryBroker(), commit)
    async with Bus(service, exact, transports=transports) as bus:
        await bus.publish(Placed(order_id="7"))
        await until(lambda: bus.counts["reserve"].dead.total() == 1)
        assert await ids_in(bus) == []
        broken = False
        await until(lambda: len(transports.broker.dead_letters(bus.plans["reserve"])) == 1)
        await bus.dead_letters().redrive()
        await until(lambda: bus.counts["reserve"].handled == 1)
        await until(lambda: sum(sizes) == 1)
        assert await ids_in(bus) == ["7"]


async def test_nothing_behind_a_message_that_was_given_back_is_committed(exact):
    """It comes again with what it was given back with, and would be published twice."""
    broker, commits = MemoryBroker(), []

    async def commit(honest, finished):
        commits.append(len(finished))
        await honest(finished)

    (plan,) = load(exact, environ={}).subscriptions()
    transport = Trouble(broker, commit).make(TransportSettings("log", "memory://"))
    await transport.provision(Topology((plan.destination,), (plan,)))
    await transport.publish([Entry(plan.destination, b"{}", [], "key") for _ in range(4)], 1)
    nothing = SimpleNamespace(abandon=lambda *_: None, committed=lambda *_: None)
    exactly = Exactly(await transport.subscribe_transactional(plan), plan, nothing, None)
    handling = SimpleNamespace(counts=Counts())
    exactly.start(handling)
    first, second, third, fourth = await exactly.receive()
    first.accept()
    third.accept()
    second.release()
    fourth.accept()
    assert await exactly.flush(5)
    assert (commits, handling.counts.released) == ([1], 2)
    await exactly.close()
