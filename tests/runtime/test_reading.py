"""A stream read without a subscription."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from busbridge import BlockingBus, Bus, Contract, MemoryTransports, Service
from busbridge.contract import JsonObject
from busbridge.errors import (
    AccessRefused,
    ClosedError,
    ConfigurationError,
    InvalidMessage,
    PositionLost,
    UnknownVersion,
    UnreadableMessage,
)
from busbridge.memory import MemoryTransport
from busbridge.routing import Destination, Kind, Topology, TransportSettings
from busbridge.transport import Entry
from tests.runtime.conftest import Placed, Reserved


class OldReserved(Contract, name="shop.reserved", version=1, key="order"):
    order: str


class NewReserved(Contract, name="shop.reserved", version=2, readable_by=2, key="order_id"):
    order_id: str
    shelf: int


@NewReserved.upcaster(from_version=1)
def name_the_shelf(body: JsonObject) -> JsonObject:
    return {"order_id": body["order_id"], "shelf": 7}


shop = Service("shop", publishes=[Reserved])
"""Publishes only."""


def reserved(count: int) -> list[Reserved]:
    return [Reserved(order_id=str(number)) for number in range(count)]


def log(transports: MemoryTransports) -> Any:
    """The stream as the broker has it."""
    return transports.brokers["log"]._destinations._holders["history"]


@pytest.fixture
def transports() -> MemoryTransports:
    return MemoryTransports()


async def test_it_reads_the_history_each_partition_in_order_and_ends_at_now(config, transports):
    published = [Reserved(order_id=f"{number % 7}-{number}") for number in range(2000)]
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(published)
        reader = bus.read("history", Reserved)
        found = [await anext(reader)]
        assert reader.remaining == 1999
        await bus.publish(Reserved(order_id="late"))
        found += [each async for each in reader]

    for partition in range(4):
        there = [each for each in found if each.position.partition == partition]
        assert [each.position.offset for each in there] == list(range(len(there)))
    assert sorted(each.message.order_id for each in found) == sorted(each.order_id for each in published)
    assert (reader.read, reader.skipped, reader.invalid, reader.remaining) == (2000, 0, 0, 0)


async def test_what_is_read_says_where_it_stands_and_who_sent_it(config, transports):
    before = datetime.now(UTC)
    async with Bus(shop, config, transports=transports) as bus:
        message_id = await bus.publish(Reserved(order_id="a"), headers={"tenant": "north"})
        (found,) = [each async for each in bus.read("history", Reserved)]

    assert found.message == Reserved(order_id="a")
    assert (found.id, found.source, found.key) == (message_id, "shop", "a")
    assert found.position.offset == 0
    assert found.headers == {"tenant": "north"}
    assert before <= found.time <= datetime.now(UTC)


async def test_an_empty_stream_ends_at_once_and_stays_at_its_end(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        reader = bus.read("history", Reserved)
        for _ in range(2):
            assert [each async for each in reader] == []


async def test_a_bus_that_has_nothing_to_do_with_the_broker_connects_for_reading_and_leaves_with_the_bus(
    config, transports
):
    made: list[MemoryTransport] = []

    class Counted:
        find = transports.find

        def make(self, settings: TransportSettings) -> MemoryTransport:
            made.append(transports.make(settings))
            return made[-1]

    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(reserved(3))
    async with Bus(Service("idle"), config, transports=Counted()) as bus:
        assert made == []
        both = bus.read("history", Reserved), bus.read("history", Reserved)
        counts = await asyncio.gather(*(_count(each) for each in both))
        assert len(made) == 1

    assert counts == [3, 3]
    with pytest.raises(ClosedError):
        await made[0].publish([], 1)


async def _count(reader: Any) -> int:
    return len([each async for each in reader])


@pytest.mark.parametrize(("start", "count"), [("earliest", 10), ("latest", 0), (4, 6), (99, 0)])
async def test_it_starts_where_it_is_told(config, transports, start, count):
    config["destinations"]["history"]["partitions"] = 1
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(reserved(10))
        found = [each.position.offset async for each in bus.read("history", Reserved, start=start)]

    assert found == list(range(10))[10 - count :]


async def test_it_starts_at_a_time_and_ends_before_one(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        times = []
        for name in ("early", "noon", "late"):
            times.append(datetime.now(UTC))
            await bus.publish(Reserved(order_id=name))
        found = [each.key async for each in bus.read("history", Reserved, start=times[1], until=times[2])]
        future = [each.key async for each in bus.read("history", Reserved, until=times[2] + timedelta(days=1))]

    assert found == ["noon"]
    assert sorted(future) == ["early", "late", "noon"]


async def test_without_an_end_it_goes_on_and_a_cancelled_wait_loses_nothing(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        reader = bus.read("history", Reserved, start="latest", until=None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reader), 0.01)
        assert reader.remaining is None
        await bus.publish(Reserved(order_id="next"))
        assert (await asyncio.wait_for(anext(reader), 5)).key == "next"


async def test_old_versions_are_lifted_to_the_contract_that_is_asked_for(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish(Reserved(order_id="a"))
        found = [each.message async for each in bus.read("history", NewReserved)]

    assert found == [NewReserved(order_id="a", shelf=7)]


async def test_other_contracts_are_passed_over_and_counted(config, transports):
    config["routes"]["shop.placed"]["to"] = ["history"]
    del config["services"]
    both = Service("both", publishes=[Placed, Reserved])
    async with Bus(both, config, transports=transports) as bus:
        await bus.publish_many([Placed(order_id="1"), Reserved(order_id="2"), Placed(order_id="3")])
        reader = bus.read("history", Reserved)
        assert [each.key async for each in reader] == ["2"]

    assert (reader.read, reader.skipped) == (1, 2)


async def test_what_can_not_be_read_is_raised_with_its_place_or_skipped_and_counted(config, transports):
    config["destinations"]["history"]["partitions"] = 1
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish(Reserved(order_id="1"))
        transports.brokers["log"].publish(Entry(_history(), b"{}", [], "1"))
        await bus.publish(Reserved(order_id="2"))
        reader = bus.read("history", Reserved)
        assert (await anext(reader)).key == "1"
        with pytest.raises(
            UnreadableMessage, match=r"offset 1 of history\[0\] can't be read: no CloudEvents"
        ) as raised:
            await anext(reader)
        assert (raised.value.partition, raised.value.offset) == (0, 1)
        with pytest.raises(ClosedError):
            await anext(reader)
        assert not log(transports).readers
        skipping = bus.read("history", Reserved, on_invalid="skip")
        assert [each.key async for each in skipping] == ["1", "2"]
        assert skipping.invalid == 1


@pytest.mark.parametrize(("contract", "cause"), [(OldReserved, InvalidMessage), (NewReserved, UnknownVersion)])
async def test_a_body_or_a_version_that_does_not_fit_is_the_cause(config, transports, contract, cause):
    newer = Service("newer", publishes=[Version3])
    async with Bus(shop, config, transports=transports) as old, Bus(newer, config, transports=transports) as new:
        await (old.publish(Reserved(order_id="1")) if contract is OldReserved else new.publish(Version3(order_id="1")))
    async with Bus(Service("reader"), config, transports=transports) as bus:
        with pytest.raises(UnreadableMessage) as raised:
            await anext(bus.read("history", contract))
    assert isinstance(raised.value.__cause__, cause)


class Version3(Contract, name="shop.reserved", version=3, readable_by=3, key="order_id"):
    order_id: str


def _history() -> Destination:
    return Destination("history", Kind.STREAM, "log", "history", partitions=1)


async def test_positions_that_are_gone_are_lost_before_and_while_it_reads(config, transports):
    config["destinations"]["history"]["partitions"] = 1
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(reserved(1000))
        reader = bus.read("history", Reserved)
        assert (await anext(reader)).position.offset == 0
        del log(transports).partitions[0].entries[:900]
        log(transports).partitions[0].base = 900
        with pytest.raises(PositionLost) as lost:
            async for _ in reader:
                pass
        assert (lost.value.subscription, lost.value.committed, lost.value.low) == (None, reader.read, 900)
        with pytest.raises(PositionLost, match=r"Decide where to go on$"):
            await anext(bus.read("history", Reserved, start=5))


async def test_gaps_are_passed_over_at_the_end_too(config, transports):
    config["destinations"]["history"] |= {"partitions": 1, "compaction": True}
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many([Reserved(order_id="same")] * 1500)
        assert [each.position.offset async for each in bus.read("history", Reserved)] == [1499]
        log(transports).partitions[0].entries[-1] = None
        assert [each async for each in bus.read("history", Reserved)] == []


async def test_it_is_refused_where_there_is_nothing_to_read(config, transports):
    bus = Bus(shop, config, transports=transports)
    with pytest.raises(ClosedError):
        bus.read("history", Reserved)
    async with bus:
        for name, words in (("orders", "it is a queue, and only a stream"), ("histry", "did you mean 'history'?")):
            with pytest.raises(ConfigurationError, match=words) as raised:
                bus.read(name, Reserved)
            assert raised.value.faults[0].location.path[0] == "destinations"
        with pytest.raises(ConfigurationError, match="two contracts are shop"):
            bus.read("history", OldReserved)
        for wrong in ({"start": -1}, {"start": True}, {"start": datetime(2026, 1, 1)}, {"until": "end"}):  # noqa: DTZ001
            with pytest.raises(ValueError, match=r"start|end|UTC"):
                bus.read("history", Reserved, **wrong)
    with pytest.raises(ClosedError):
        bus.read("history", Reserved)


async def test_a_transport_that_can_not_replay_is_refused(config, transports, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(MemoryTransport, "capabilities", replace(MemoryTransport.capabilities, replayable=False))
    async with Bus(shop, config, transports=transports) as bus:
        with pytest.raises(ConfigurationError, match="transport 'log' does not offer it"):
            bus.read("history", Reserved)


async def test_leaving_by_break_leaves_nothing(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(reserved(10))
        async for _ in bus.read("history", Reserved):
            assert len(log(transports).readers) == 1
            break
        gc.collect()
        assert not log(transports).readers


async def test_closing_the_reader_or_the_bus_ends_it(config, transports):
    async with Bus(shop, config, transports=transports) as bus:
        await bus.publish_many(reserved(10))
        async with bus.read("history", Reserved, until=None) as reader:
            await anext(reader)
        with pytest.raises(ClosedError):
            await anext(reader)
        await reader.aclose()
        following = bus.read("history", Reserved, start="latest", until=None)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        await waiting
    assert not log(transports).readers


async def test_a_beginning_that_failed_ends_the_reading(config, transports, monkeypatch):
    async def refuse(*_: object) -> None:
        raise AccessRefused("Kafka", "me", "no")

    async with Bus(shop, config, transports=transports) as bus:
        monkeypatch.setattr(MemoryTransport, "read", refuse)
        reader = bus.read("history", Reserved)
        with pytest.raises(AccessRefused):
            await anext(reader)
        with pytest.raises(ClosedError):
            await anext(reader)


async def test_a_transport_that_could_not_be_opened_is_opened_by_the_next_who_reads(config, transports, monkeypatch):
    provision = MemoryTransport.provision
    failures = iter([AccessRefused("Kafka", "me", "no")])

    async def fail_once(self: MemoryTransport, topology: Topology) -> None:
        for failure in failures:
            raise failure
        await provision(self, topology)

    async with Bus(Service("idle"), config, transports=transports) as bus:
        monkeypatch.setattr(MemoryTransport, "provision", fail_once)
        with pytest.raises(AccessRefused):
            await anext(bus.read("history", Reserved))
        assert [each async for each in bus.read("history", Reserved)] == []


def test_blocking_code_reads_by_a_plain_iterator(config, transports):
    with BlockingBus(shop, config, transports=transports) as bus:
        bus.publish_many(reserved(1200))
        found = [each.key for each in bus.read("history", Reserved)]
        for _ in bus.read("history", Reserved, until=None):
            break
        gc.collect()
        assert not log(transports).readers
        with pytest.raises(ConfigurationError):
            bus.read("orders", Reserved)

    assert sorted(found) == sorted(str(number) for number in range(1200))


def test_blocking_code_gets_what_stands_before_the_unreadable(config, transports):
    config["destinations"]["history"]["partitions"] = 1
    with BlockingBus(shop, config, transports=transports) as bus:
        bus.publish(Reserved(order_id="1"))
        transports.brokers["log"].publish(Entry(_history(), b"{}", [], "1"))
        reading = bus.read("history", Reserved)
        assert next(reading).key == "1"
        with pytest.raises(UnreadableMessage):
            next(reading)


def test_a_blocking_bus_that_closes_ends_its_readers(config, transports):
    with BlockingBus(shop, config, transports=transports) as bus:
        bus.publish(Reserved(order_id="1"))
        reading = bus.read("history", Reserved, until=None)
        next(reading)
    with pytest.raises(ClosedError):
        next(reading)
