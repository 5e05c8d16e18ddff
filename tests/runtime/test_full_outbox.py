"""While more waits in the outbox than may, subscriptions take nothing new; then they go on, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from unittest.mock import Mock, patch

import pytest

from busbridge import Bus, Context, Service
from busbridge.routing import load
from busbridge.runtime import MemoryTransports
from busbridge.runtime._bus import relay_of
from busbridge.runtime.effects import _outbox_gate
from busbridge.runtime.effects._outbox_gate import Entrance
from busbridge.runtime.handling._counts import Counts
from busbridge.runtime.publishing._sender import Sender
from busbridge.store import Store
from busbridge.transport import Outcome, Session, Status
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import until

MANY = 150
LIMIT = 40
LOOKS = 0.02
"""Seconds between two looks at the outbox here."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(_outbox_gate, "_EVERY", LOOKS)


@pytest.fixture(autouse=True)
def away(monkeypatch):
    """While it is set, the broker of what is reserved confirms nothing."""
    away, send = asyncio.Event(), Sender.send
    away.set()

    async def sent(sender, entries):
        if away.is_set() and any(each.destination.name == "reserved" for each in entries):
            return [Outcome(Status.UNKNOWN) for _ in entries]
        return await send(sender, entries)

    monkeypatch.setattr(Sender, "send", sent)
    return away


class Shop:
    """A service that publishes a message for each that it handles."""

    def __init__(self, config, tmp_path, *, batch=5, limit=LIMIT, **subscription):
        self.config = config
        self.transports = MemoryTransports()
        config["destinations"]["reserved"] = {"kind": "queue", "transport": "rabbit"}
        config["routes"]["shop.reserved"] = {"to": "reserved"}
        services = config["services"]
        services["stock"]["store"] = {
            "url": f"sqlite:///{tmp_path}/stock.db",
            "batch": str(batch),
            "outbox_limit": str(limit),
        }
        services["stock"]["subscriptions"]["reserve"] |= subscription
        services["sales"] = {"subscriptions": {"count": {"from": "reserved"}}}
        self.handled: list[str] = []
        self.sold: list[str] = []

    def stock(self, **options):
        service = Service("stock", publishes=[Placed, Reserved])
        service.subscription("reserve").handles(Placed)(self.reserve)
        return Bus(service, self.config, transports=self.transports, **options)

    async def reserve(self, order: Placed, context: Context) -> None:
        self.handled.append(order.order_id)
        context.publish(Reserved(order_id=order.order_id))

    def sales(self):
        service = Service("sales")

        @service.subscription("count").handles(Reserved)
        async def count(reserved: Reserved) -> None:
            self.sold.append(reserved.order_id)

        return Bus(service, self.config, transports=self.transports)

    async def publish(self, bus):
        await bus.publish_many([Placed(order_id=f"{number:03}") for number in range(MANY)])

    async def all_sold(self, away):
        away.clear()
        async with self.sales():
            await until(lambda: len(self.sold) >= MANY)
        assert sorted(self.sold) == [f"{number:03}" for number in range(MANY)]


async def waiting(bus):
    return (await bus._storing.store.waiting()).pending


async def held_up(bus):
    """Waits until the only lane waits for the outbox, and so for nothing else."""
    (entrance,) = bus._storing._gate._entrances
    await until(lambda: entrance.closed and entrance._turned._waiters)


async def stays_bounded(shop, bus, most):
    """The attack: work without end for brokers that take nothing. Raises AssertionError where all of it is taken."""
    await shop.publish(bus)
    await until(lambda: bus.counts["reserve"].outbox_full or len(shop.handled) == MANY)
    await asyncio.sleep(10 * LOOKS)
    assert await waiting(bus) <= most
    assert len(shop.handled) <= most + 3


@pytest.mark.parametrize("subscription", [{}, {"from": "history"}], ids=["queue", "stream"])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_full_outbox_lets_nothing_begin_and_all_goes_on_once_there_is_room(
    config, tmp_path, caplog, away, subscription, concurrency
):
    config["routes"]["shop.placed"] = {"to": subscription.get("from", "orders")}
    shop = Shop(config, tmp_path, concurrency=concurrency, prefetch=30, **subscription)
    with caplog.at_level(logging.WARNING, "busbridge.worker"):
        async with shop.stock() as bus:
            counts = bus.counts["reserve"]
            await stays_bounded(shop, bus, most=2 * LIMIT)
            assert "outbox-full" in repr(counts)
            await shop.all_sold(away)
            await until(lambda: not counts.outbox_full)
            assert counts.handled == MANY
    assert sorted(shop.handled) == sorted(shop.sold), "each once"
    told = [record.getMessage() for record in caplog.records if record.name == "busbridge.worker"]
    assert "more than 40 messages wait" in told[0]
    assert "go on" in told[1]


async def test_it_goes_on_when_a_part_has_gone_out_and_not_before(config, tmp_path):
    shop = Shop(config, tmp_path)
    async with shop.stock(relay=False) as bus:
        await shop.publish(bus)
        await held_up(bus)
        store, handled = bus._storing.store, len(shop.handled)
        rows = await store.pending(range(64), MANY)
        left = [each.id for each in rows]
        await store.sent(left[33:])
        await asyncio.sleep(5 * LOOKS)
        assert len(shop.handled) == handled, "33 of 40 are left"
        await store.sent(left[32:33])
        await until(lambda: len(shop.handled) > handled)


async def test_a_process_that_relays_nothing_bounds_itself(config, tmp_path, away):
    shop = Shop(config, tmp_path)
    async with shop.stock(relay=False) as bus:
        await stays_bounded(shop, bus, most=2 * LIMIT)
        async with relay_of(bus.service, load(config), shop.transports):
            await shop.all_sold(away)


async def test_handlers_that_fill_it_between_two_looks_have_it_looked_at_sooner(config, tmp_path, monkeypatch):
    monkeypatch.setattr(_outbox_gate, "_EVERY", 3600)
    shop = Shop(config, tmp_path)
    async with shop.stock(relay=False) as bus:
        await stays_bounded(shop, bus, most=2 * LIMIT)


async def test_what_another_process_has_filled_is_full_here_too(config, tmp_path):
    shop = Shop(config, tmp_path)
    async with shop.stock(relay=False) as bus:
        await shop.publish(bus)
        await until(lambda: bus.counts["reserve"].outbox_full)
    handled = len(shop.handled)
    async with shop.stock(relay=False) as bus:
        await until(lambda: bus.counts["reserve"].outbox_full)
        await asyncio.sleep(5 * LOOKS)
        assert len(shop.handled) <= handled + 10


@pytest.mark.parametrize("subscription", [{}, {"from": "history"}], ids=["queue", "stream"])
async def test_a_stop_while_it_is_full_is_quick_and_gives_back_what_waits(config, tmp_path, away, subscription):
    config["routes"]["shop.placed"] = {"to": subscription.get("from", "orders")}
    shop = Shop(config, tmp_path, concurrency=4, **subscription)
    config["stop"]["grace"] = "60s"
    async with asyncio.timeout(15):
        async with shop.stock(relay=False) as bus:
            await shop.publish(bus)
            await until(lambda: bus.counts["reserve"].outbox_full)
        assert bus.counts["reserve"].dead.total() == 0
    async with shop.stock():
        await shop.all_sold(away)
    assert sorted(shop.handled) == sorted(shop.sold), "each once"


async def test_a_subscription_that_is_told_to_stop_lets_nothing_wait_though_its_session_goes_on():
    """Kafka's does, so that what is being handled can be settled."""
    entrance, delivery = Entrance(Counts()), Mock(session=Session())
    entrance.turn(closed=True)
    assert entrance.refused([delivery]) == []
    waits = asyncio.create_task(entrance.turned())
    await asyncio.sleep(0)
    assert entrance.end(), "nothing may go on"
    await waits
    assert entrance.refused([delivery]) == [delivery]


async def test_what_goes_to_another_worker_does_not_wait_for_this_ones_outbox(config, tmp_path):
    shop = Shop(config, tmp_path, prefetch=30)
    async with shop.stock(relay=False) as bus:
        await shop.publish(bus)
        counts = bus.counts["reserve"]
        await held_up(bus)
        bus._workers["reserve"]._sources[0].sever()
        await until(lambda: counts.released >= 30)
        assert counts.outbox_full


async def test_a_bounded_queue_that_the_service_fills_itself_is_emptied_in_any_case(config, tmp_path):
    """Or it would stay full, and so would the outbox."""
    shop = Shop(config, tmp_path)
    config["destinations"]["orders"]["max_length"] = str(MANY)
    async with shop.stock(relay=False) as bus:
        await shop.publish(bus)
        await until(lambda: bus.counts["reserve"].handled == MANY)
        assert await waiting(bus) == MANY
        assert not bus.counts["reserve"].outbox_full


async def test_publishing_outside_of_handlers_is_never_held_up(config, tmp_path):
    shop = Shop(config, tmp_path, limit=5)
    async with shop.stock(relay=False) as bus:
        for number in range(20):
            async with bus.transaction() as tx:
                tx.publish(Placed(order_id=str(number)))
        assert await waiting(bus) == 20


async def test_without_a_limit_nothing_is_counted(config, tmp_path):
    shop = Shop(config, tmp_path, limit=0)
    with patch.object(Store, "backlog") as backlog:
        async with shop.stock(relay=False) as bus:
            await shop.publish(bus)
            await until(lambda: len(shop.handled) == MANY)
    backlog.assert_not_called()


async def test_an_idle_service_counts_once(config, tmp_path):
    shop = Shop(config, tmp_path)
    with patch.object(Store, "backlog", autospec=True, return_value=0) as backlog:
        async with shop.stock():
            await asyncio.sleep(10 * LOOKS)
    assert backlog.call_count == 1


async def test_a_gate_that_never_closes_is_noticed(config, tmp_path):
    shop = Shop(config, tmp_path)
    with patch.object(_outbox_gate.OutboxGate, "_judge"):
        async with shop.stock() as bus:
            with pytest.raises(AssertionError):
                await stays_bounded(shop, bus, most=2 * LIMIT)
