"""Publishing together with rows of one's own, outside of handlers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from busbridge import BlockingBus, Bus, ClosedError, ConfigurationError, HandlerError, Service, UndeclaredContract
from busbridge.errors import OutcomeUnknown, StoreError
from busbridge.outbox import Relay
from busbridge.runtime import MemoryTransports
from busbridge.store._inline_sqlite import use_inline_sqlite
from busbridge.transport import Outcome, Status
from tests.runtime.conftest import Placed, Reserved

SHOP = Service("shop", publishes=[Placed])


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Shop:
    """The configuration of one test, its database, what is known to be committed, and what reaches the queue."""

    def __init__(self, path):
        self.config = {
            "transports": {"rabbit": {"url": "amqp://localhost"}},
            "destinations": {"orders": {"kind": "queue", "transport": "rabbit"}},
            "routes": {"shop.placed": {"to": "orders"}},
            "services": {
                "shop": {"store": {"url": f"sqlite:///{path / 'shop.db'}"}},
                "stock": {"subscriptions": {"reserve": {"from": "orders"}}},
            },
        }
        self.file = path / "shop.db"
        self.transports = MemoryTransports()
        self.found = []
        self.committed = []
        self._arrived = asyncio.Event()

    @asynccontextmanager
    async def bus(self):
        """A bus of the shop, its table made, and a service that takes what it publishes."""
        stock = Service("stock")

        @stock.subscription("reserve").handles(Placed)
        async def reserve(order, context):
            self.found.append((order.order_id, context.message_id))
            self._arrived.set()

        async with Bus(SHOP, self.config, transports=self.transports, observer=self) as bus:
            async with bus.transaction() as tx:
                await tx.connection.run_sync(Base.metadata.create_all)
            async with Bus(stock, self.config, transports=self.transports):
                yield bus

    def publishing(self, prepared):
        self.committed.extend(each.message.order_id for each in prepared)

    def parked(self, message_id, destination, error):
        raise AssertionError(error)

    @asynccontextmanager
    async def session(self, file=None):
        """A session of the user's own, by an engine of their own."""
        engine = create_async_engine(f"{use_inline_sqlite()}:///{file or self.file}")
        try:
            async with AsyncSession(engine) as session:
                yield session
        finally:
            await engine.dispose()

    def engine(self):
        return create_engine(f"sqlite:///{self.file}")

    async def arrived(self, count):
        while len(self.found) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return [order_id for order_id, _ in self.found]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """No relay looks by itself: being told of a commit is what makes it publish."""
    monkeypatch.setitem(Relay.__init__.__kwdefaults__, "poll", 3600.0)
    return Shop(tmp_path)


async def orders(bus):
    async with bus.transaction() as tx:
        return (await tx.session.scalars(select(Order.name).order_by(Order.number))).all()


async def waiting(bus):
    """Rows that are left in the outbox."""
    await bus._storing.relay.idle()
    return (await bus._storing.store.waiting()).pending


async def test_rows_and_messages_are_committed_together_and_go_out_at_once(shop):
    async with shop.bus() as bus:
        async with bus.transaction() as tx:
            tx.session.add(Order(name="by session"))
            await tx.connection.execute(Order.__table__.insert().values(name="by connection"))
            ids = [tx.publish(Placed(order_id="1")), tx.publish(Placed(order_id="2"), message_id="chosen")]
        assert await shop.arrived(2) == ["1", "2"]
        assert [message_id for _, message_id in shop.found] == ids
        assert ids[1] == "chosen"
        assert sorted(await orders(bus)) == ["by connection", "by session"]


async def test_a_block_that_raises_leaves_neither_rows_nor_messages(shop):
    async with shop.bus() as bus:
        with pytest.raises(RuntimeError, match="enough"):
            async with bus.transaction() as tx:
                tx.session.add(Order(name="lost"))
                await tx.session.flush()
                tx.publish(Placed(order_id="lost"))
                raise RuntimeError("enough")
        async with bus.transaction() as tx:
            tx.publish(Placed(order_id="kept"))
        assert await shop.arrived(1) == ["kept"]
        assert await orders(bus) == []


class Faulty(MemoryTransports):
    """In-memory brokers that confirm nothing while they are away."""

    def __init__(self):
        super().__init__()
        self.away = False
        self.asked = asyncio.Event()

    def make(self, settings):
        transport = super().make(settings)
        publish = transport.publish

        async def attempted(entries, seconds):
            if not self.away:
                return await publish(entries, seconds)
            self.asked.set()
            return [Outcome(Status.UNKNOWN, error=OutcomeUnknown("orders", "away"))] * len(entries)

        transport.publish = attempted
        return transport


async def test_what_is_committed_while_the_broker_is_away_goes_out_once_when_it_is_back(shop):
    shop.transports = faulty = Faulty()
    async with shop.bus() as bus:
        faulty.away = True
        async with bus.transaction() as tx:
            for number in range(3):
                tx.publish(Placed(order_id=str(number)))
        await faulty.asked.wait()
        faulty.away = False
        assert sorted(await shop.arrived(3)) == ["0", "1", "2"]
        assert await waiting(bus) == 0


async def test_what_a_broker_that_stays_away_did_not_take_is_published_by_the_next_process(shop):
    shop.transports = faulty = Faulty()
    async with shop.bus() as bus:
        faulty.away = True
        async with bus.transaction() as tx:
            tx.publish(Placed(order_id="1"))
        await faulty.asked.wait()
    faulty.away = False
    async with shop.bus():
        assert await shop.arrived(1) == ["1"]


async def test_a_relay_that_can_not_go_on_ends_the_service_instead_of_leaving_messages_in_silence(shop, monkeypatch):
    async with shop.bus() as bus:

        async def broken(*_, **__):
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(bus._storing.store, "look", broken)
        serving = asyncio.create_task(bus.serve())
        async with bus.transaction() as tx:
            tx.publish(Placed(order_id="1"))
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await serving


async def test_what_can_not_be_published_raises_at_once(shop):
    async with shop.bus() as bus:
        async with bus.transaction() as tx:
            with pytest.raises(UndeclaredContract):
                tx.publish(Reserved(order_id="1"))


async def test_the_block_ends_the_transaction_and_nobody_else(shop):
    async with shop.bus() as bus:
        async with bus.transaction() as tx:
            for each in (tx.connection.commit, tx.connection.rollback, tx.connection.close, tx.session.commit):
                with pytest.raises(HandlerError, match="not yours to call"):
                    await each()
        with pytest.raises(ClosedError):
            tx.publish(Placed(order_id="late"))
        with pytest.raises(ClosedError):
            _ = tx.connection


async def test_a_bus_without_a_store_says_what_to_add(shop):
    del shop.config["services"]["shop"]
    async with Bus(SHOP, shop.config, transports=shop.transports) as bus:
        for each in (bus.transaction, lambda: bus.outbox(AsyncSession())):
            with pytest.raises(ConfigurationError, match=r"services\.shop\.store"):
                each()
    with pytest.raises(ClosedError):
        bus.transaction()


async def test_what_is_published_in_a_session_of_ones_own_goes_out_once_it_is_committed(shop):
    async with shop.bus() as bus, shop.session() as session:
        session.add(Order(name="mine"))
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="1"))
        with pytest.raises(ClosedError):
            tx.publish(Placed(order_id="late"))
        await session.commit()
        assert await shop.arrived(1) == ["1"]
        assert await orders(bus) == ["mine"]


async def test_it_is_rolled_back_with_the_caller(shop):
    async with shop.bus() as bus, shop.session() as session:
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="lost"))
        await session.rollback()
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="kept"))
        await session.commit()
        assert shop.committed == ["kept"]
        assert await shop.arrived(1) == ["kept"]
        assert await waiting(bus) == 0


async def test_it_is_rolled_back_with_the_savepoint_it_was_published_in(shop):
    async with shop.bus() as bus, shop.session() as session:
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="kept"))
        savepoint = await session.begin_nested()
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="lost"))
        await savepoint.rollback()
        async with session.begin_nested(), bus.outbox(session) as tx:
            tx.publish(Placed(order_id="kept too"))
        assert shop.committed == []
        await session.commit()
        assert shop.committed == ["kept", "kept too"]
        assert await shop.arrived(2) == ["kept", "kept too"]


async def test_a_block_that_raises_inserts_nothing_and_leaves_the_session_alone(shop):
    async with shop.bus() as bus, shop.session() as session:
        session.add(Order(name="mine"))
        with pytest.raises(RuntimeError, match="enough"):
            async with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="lost"))
                raise RuntimeError("enough")
        await session.commit()
        assert await waiting(bus) == 0
        assert await orders(bus) == ["mine"]


@pytest.mark.parametrize("prepared", [False, True], ids=["an empty database", "a store of its own"])
async def test_a_session_on_another_database_is_refused(shop, tmp_path, prepared):
    """Its commit would be another one's: the message could go without the rows, or the rows without the message."""
    other = tmp_path / "other.db"
    if prepared:
        shop.config["services"]["other"] = {"store": {"url": f"sqlite:///{other}"}}
        async with Bus(Service("other", publishes=[Placed]), shop.config, transports=shop.transports):
            pass
    async with shop.bus() as bus, shop.session(other) as session:
        with pytest.raises(StoreError, match="another database"):
            async with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="lost"))
        assert await waiting(bus) == 0


async def test_the_same_database_under_another_name_is_the_same(shop, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(shop.file)
    async with shop.bus() as bus, shop.session(link) as session:
        async with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="1"))
        await session.commit()
        assert await shop.arrived(1) == ["1"]


async def test_a_blocking_session_publishes_from_any_thread(shop):
    def place(bus):
        engine = shop.engine()
        with Session(engine) as session:
            session.add(Order(name="mine"))
            with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="1"))
            session.commit()
            with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="lost"))
            session.rollback()
        engine.dispose()

    async with shop.bus() as bus:
        await asyncio.to_thread(place, bus)
        assert await shop.arrived(1) == ["1"]
        assert await waiting(bus) == 0
        assert await orders(bus) == ["mine"]


def test_a_blocking_bus_publishes_several_messages_or_none(shop):
    with BlockingBus(SHOP, shop.config, transports=shop.transports) as bus:
        with bus.transaction() as tx:
            tx.publish(Placed(order_id="1"))
            tx.publish(Placed(order_id="2"))
        with pytest.raises(RuntimeError, match="enough"):
            with bus.transaction() as tx:
                tx.publish(Placed(order_id="lost"))
                raise RuntimeError("enough")
        with pytest.raises(ClosedError):
            tx.publish(Placed(order_id="late"))
    assert taken(shop) == ["1", "2"]  # a bus that closes publishes what is committed


def test_a_blocking_bus_publishes_in_a_session_of_ones_own(shop):
    engine = shop.engine()
    with BlockingBus(SHOP, shop.config, transports=shop.transports) as bus:
        with bus.transaction():
            pass  # opens the bus, and with it the store
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(Order(name="mine"))
            with bus.outbox(session) as tx:
                tx.publish(Placed(order_id="1"))
            session.commit()
            assert session.scalar(select(func.count()).select_from(Order)) == 1
    engine.dispose()
    assert taken(shop) == ["1"]


def taken(shop):
    """What waits in the queue, in order."""
    found = []
    stock = Service("stock")

    async def take():
        @stock.subscription("reserve").handles(Placed)
        async def reserve(order, context):
            found.append(order.order_id)

        async with Bus(stock, shop.config, transports=shop.transports):
            await shop.transports.brokers["rabbit"].settled()

    asyncio.run(take())
    return found
