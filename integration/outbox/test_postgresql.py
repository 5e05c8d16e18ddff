"""The outbox on PostgreSQL: relays that share it, and sessions of the user's own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from busbridge import Bus, Service
from busbridge.errors import StoreError
from busbridge.outbox import to_outbox
from busbridge.runtime import MemoryTransports
from busbridge.store import SLOTS
from tests.outbox.conftest import Broker, Clock, Message, relaying
from tests.runtime.conftest import Placed
from tests.store.helpers import execute, in_loop, opened

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"


async def put(store, *bodies, key=None):
    async with store.transaction() as transaction:
        await transaction.put_outbox([row for each in bodies for row in to_outbox(Message(each, each.encode(), key))])


@in_loop
async def test_relays_share_the_work_and_keep_the_order_of_each_key(new_store):
    clock, brokers = Clock(), (Broker(), Broker())
    async with opened(new_store(), new_store()) as (store, other):
        async with (
            relaying(store, brokers[0], clock=clock) as first,
            relaying(other, brokers[1], clock=clock) as second,
        ):
            await asyncio.gather(first.idle(), second.idle())
            for each in (first, second) * 2:
                clock.seconds += 30.0  # time to renew: who has more than its share gives it up
                each.poke()
                await each.idle()
            assert first._tenure.slots | second._tenure.slots == set(range(SLOTS))
            for number in range(3):
                for key in map(str, range(40)):
                    await put(store, f"{key}:{number}", key=key)
            for each in (first, second):
                each.poke()
            await asyncio.gather(first.idle(), second.idle())
    taken = [*brokers[0].taken, *brokers[1].taken]
    assert len(taken) == 120
    assert all(broker.taken for broker in brokers)
    for key in map(str, range(40)):
        assert [each for each in taken if each.startswith(f"{key}:")] == [f"{key}:{number}" for number in range(3)]


async def early_and_late(store, other, broker):
    """Commits a row, and then one that was inserted before it; returns what was published until then."""
    async with relaying(store, broker) as relay:
        await relay.idle()
        async with other.transaction() as late:
            await late.put_outbox(to_outbox(Message("late", b"late", "a")))
            await put(store, "early", key="a")
            relay.poke()
            await broker.got("early")
            await relay.idle()
        relay.poke()
        await relay.idle()
    return list(broker.taken)


@in_loop
async def test_a_row_that_is_committed_after_one_with_a_higher_id_is_published(new_store):
    """R4: ids are given before the commit, so that a relay which reads on from the last id loses what comes late."""
    async with opened(new_store(), new_store()) as (store, other):
        assert await early_and_late(store, other, Broker()) == ["early", "late"]


@in_loop
async def test_a_relay_that_reads_on_from_the_last_id_is_noticed(new_store):
    async with opened(new_store(), new_store()) as (store, other):
        look, last = store.look, 0

        async def from_the_last_id(*arguments, **options):
            nonlocal last
            found = await look(*arguments, **options)
            rows = [row for row in found.rows if row.id > last]
            last = max([last, *(row.id for row in rows)])
            return found._replace(rows=rows)

        store.look = from_the_last_id
        assert await early_and_late(store, other, Broker()) == ["early"]


@in_loop
async def test_a_relay_goes_on_after_the_database_has_cut_it_off(new_store):
    broker = Broker()
    async with opened(new_store(), new_store("cutter")) as (store, cutter):
        async with relaying(store, broker) as relay:
            await put(store, "before")
            relay.poke()
            await broker.got("before")
            assert await execute(cutter, CUT, name="busbridge shop")
            await put(store, "after")
            relay.poke()
            await broker.got("after")
            await relay.idle()
            assert (await store.waiting())[:2] == (0, 0)


@in_loop
async def test_a_refused_row_holds_its_own_key_alone(new_store):
    broker = Broker()
    broker.refuses.add("a1")
    async with opened(new_store()) as store:
        for key in "ab":
            await put(store, f"{key}1", f"{key}2", key=key)
        async with relaying(store, broker) as relay:
            await relay.idle()
            await put(store, "a3", key="a")
            relay.poke()
            await relay.idle()
        assert sorted(broker.taken) == ["a1", "b1", "b2"]
        assert (await store.waiting())[:2] == (2, 1)


@asynccontextmanager
async def session_at(url):
    engine = create_async_engine(urlsplit(url)._replace(scheme="postgresql+asyncpg").geturl())
    try:
        async with AsyncSession(engine) as session:
            yield session
    finally:
        await engine.dispose()


@asynccontextmanager
async def shop(url):
    """An open bus, and the order ids that have been published, once they are."""
    config = {
        "transports": {"memory": {"url": "memory://"}},
        "destinations": {"orders": {"kind": "queue", "transport": "memory"}},
        "routes": {"shop.placed": {"to": "orders"}},
        "services": {
            "shop": {"store": {"url": url, "upgrade": True}},
            "stock": {"subscriptions": {"reserve": {"from": "orders"}}},
        },
    }
    found, transports, stock = asyncio.Queue(), MemoryTransports(), Service("stock")

    @stock.subscription("reserve").handles(Placed)
    async def reserve(order, context):
        found.put_nowait(order.order_id)

    async with Bus(Service("shop", publishes=[Placed]), config, transports=transports) as bus:
        async with Bus(stock, config, transports=transports):
            yield bus, found


@in_loop
async def test_a_session_of_ones_own_commits_its_rows_with_what_it_publishes(store_url):
    async with shop(store_url) as (bus, found), session_at(store_url) as session:
        await session.execute(text("CREATE TABLE mine (name text)"))
        await session.commit()
        for name, end in (("lost", session.rollback), ("kept", session.commit)):
            await session.execute(text("INSERT INTO mine VALUES (:name)"), {"name": name})
            async with bus.outbox(session) as tx:
                tx.publish(Placed(order_id=name))
            await end()
        assert await found.get() == "kept"
        assert (await session.scalars(text("SELECT name FROM mine"))).all() == ["kept"]


@in_loop
async def test_the_same_database_by_another_name_is_taken_and_another_one_refused(store_url, postgresql):
    parts = urlsplit(store_url)
    same = parts._replace(netloc=parts.netloc.replace("127.0.0.1", "localhost")).geturl()
    async with shop(store_url) as (bus, found):
        async with session_at(same) as session:
            async with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="1"))
            await session.commit()
            assert await found.get() == "1"
        async with session_at(postgresql.url) as session:
            with pytest.raises(StoreError, match="another database"):
                async with bus.outbox(session):
                    pass
