"""A subscription whose handlers all fail pauses, and tries a message now and then, until one succeeds."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import pairwise

import pytest

from busbridge import Bus, Reject, Service
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed

MANY = 300
STORED = ["no store", "store"]


class Outage(Exception):
    pass


class Shop:
    """A subscription whose handler fails while `down`."""

    def __init__(self, config, tmp_path, *, store="no store", concurrency=4, **pause):
        self.service = Service("stock", publishes=[Placed])
        self.down = True
        self.error = lambda: Outage("the warehouse is away")
        self.calls: list[float] = []
        self.service.subscription("reserve").handles(Placed)(self.handler)
        self.transports = MemoryTransports()
        self.config = config
        section = config["services"]["stock"]
        section["subscriptions"]["reserve"] |= {
            "concurrency": concurrency,
            "retry": {"attempts": 1},
            "pause": {"after": 10, "probe": "50ms", **pause},
        }
        if store == "store":
            section["store"] = {"url": f"sqlite:///{tmp_path}/stock.db"}

    async def handler(self, order: Placed) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.down:
            raise self.error()

    def open(self):
        return Bus(self.service, self.config, transports=self.transports)


async def publish(bus, count=MANY):
    await bus.publish_many([Placed(order_id=str(number)) for number in range(count)])


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("store", STORED)
async def test_it_does_not_empty_its_queue_into_its_dead_letters_and_goes_on_once_a_message_succeeds(
    config, tmp_path, caplog, store
):
    shop = Shop(config, tmp_path, store=store)
    with caplog.at_level(logging.WARNING, "busbridge.worker"):
        async with shop.open() as bus:
            counts = bus.counts["reserve"]
            await publish(bus)
            await until(lambda: counts.paused)
            assert "paused" in repr(counts)
            await asyncio.sleep(0.3)  # a few tries, each later than the one before
            assert 10 <= counts.dead.total() <= 10 + 2 * 4 + 4
            shop.down = False
            await until(lambda: counts.handled + counts.dead.total() == MANY)
            await until(lambda: not counts.paused)
            assert counts.dead.total() < 40
    told = [record.getMessage() for record in caplog.records if record.name == "busbridge.worker"]
    assert ["pauses" in each for each in told] == [True, False]
    assert "Outage: the warehouse is away" in told[0]
    assert "goes on" in told[1]


@pytest.mark.parametrize("store", STORED)
async def test_it_tries_one_message_at_a_time_and_less_and_less_often(config, tmp_path, store):
    shop = Shop(config, tmp_path, store=store, concurrency=1)
    async with shop.open() as bus:
        await publish(bus)
        await until(lambda: len(shop.calls) >= 13)
    waited = [later - earlier for earlier, later in pairwise(shop.calls[9:13])]
    assert all(seconds >= least for seconds, least in zip(waited, (0.05, 0.1, 0.2), strict=True)), waited


@pytest.mark.parametrize("store", STORED)
async def test_a_stop_while_it_pauses_is_quick_and_gives_back_what_waits(config, tmp_path, store):
    shop = Shop(config, tmp_path, store=store, probe="60s")
    async with asyncio.timeout(3):
        async with shop.open() as bus:
            await publish(bus)
            await until(lambda: bus.counts["reserve"].paused)
            counts = bus.counts["reserve"]
        dead = counts.dead.total()
    assert dead < 40
    shop.down = False
    async with shop.open() as bus:
        await until(lambda: bus.counts["reserve"].handled == MANY - dead)


@pytest.mark.parametrize("store", STORED)
async def test_what_fails_while_it_stops_makes_it_pause_no_more(config, tmp_path, store):
    """Or the stop would wait for handlers that rest, and leave a task behind that watches for a success."""
    shop = Shop(config, tmp_path, store=store, concurrency=1, after=3, probe="10s")
    entered, goes_on = asyncio.Event(), asyncio.Event()

    async def handler(order: Placed) -> None:
        entered.set()
        await goes_on.wait()
        raise Outage(order.order_id)

    shop.service = Service("stock", publishes=[Placed])
    shop.service.subscription("reserve").handles(Placed)(handler)
    async with shop.open() as bus:
        await publish(bus, 20)
        await entered.wait()
        asyncio.get_running_loop().call_later(0.05, goes_on.set)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not [each for each in asyncio.all_tasks() if "pause" in each.get_name()]


@pytest.mark.parametrize("store", STORED)
async def test_a_success_between_failures_begins_the_count_anew(config, tmp_path, store):
    shop = Shop(config, tmp_path, store=store, concurrency=1)

    async def handler(order: Placed) -> None:
        if int(order.order_id) % 9:
            raise Outage

    shop.service = Service("stock", publishes=[Placed])
    shop.service.subscription("reserve").handles(Placed)(handler)
    async with shop.open() as bus:
        counts = bus.counts["reserve"]
        await publish(bus, 90)
        await until(lambda: counts.handled + counts.dead.total() == 90)
        assert not counts.paused


async def test_what_says_something_of_the_message_alone_does_not_count(config, tmp_path):
    shop = Shop(config, tmp_path)
    shop.error = lambda: Reject("never paid for")
    async with shop.open() as bus:
        await publish(bus)
        await until(lambda: bus.counts["reserve"].dead.total() == MANY)
        assert not bus.counts["reserve"].paused


async def test_a_few_messages_that_come_again_and_again_do_not_make_it_pause(config, tmp_path):
    shop = Shop(config, tmp_path)
    config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {
        "attempts": 8,
        "immediate": 1,
        "first": "1ms",
        "backoff": "fixed",
    }
    async with shop.open() as bus:
        await publish(bus, 4)
        await until(lambda: bus.counts["reserve"].dead.total() == 4)
        assert len(shop.calls) == 32
        assert not bus.counts["reserve"].paused


async def test_after_0_it_never_pauses(config, tmp_path):
    shop = Shop(config, tmp_path, after=0)
    async with shop.open() as bus:
        await publish(bus)
        await until(lambda: bus.counts["reserve"].dead.total() == MANY)
        assert not bus.counts["reserve"].paused
