"""Publishing in transactions of Django's: the same cases on each database."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import django
import pytest
from django.conf import settings
from django.db import connection, connections, transaction

from busbridge import BlockingBus, Bus, ClosedError, Service
from busbridge.errors import StoreError
from busbridge.runtime import MemoryTransports
from tests.runtime.conftest import Placed

SHOP = Service("shop", publishes=[Placed])


class Site:
    """A site of Django's with the shop's bus, and the rows of its own."""

    def __init__(self, store_url):
        self.config = {
            "transports": {"rabbit": {"url": "amqp://localhost"}},
            "destinations": {"orders": {"kind": "queue", "transport": "rabbit"}},
            "routes": {"shop.placed": {"to": "orders"}},
            "services": {
                "shop": {"store": {"url": store_url, "upgrade": True}},
                "stock": {"subscriptions": {"reserve": {"from": "orders"}}},
            },
        }
        self.transports = MemoryTransports()

    @contextmanager
    def bus(self):
        with BlockingBus(SHOP, self.config, transports=self.transports) as bus:
            with bus.transaction():
                pass  # opens the bus, and with it the store
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE orders (name varchar(100))")
            yield bus

    def left(self, bus):
        """Rows of the outbox that the relay has not published, once it has nothing to do."""
        portal = bus._portal
        portal.call(portal.bus._storing.relay.idle())
        return portal.call(portal.bus._storing.store.waiting()).pending

    def taken(self):
        """What waits in the queue, in order."""
        found = []
        stock = Service("stock")

        @stock.subscription("reserve").handles(Placed)
        async def reserve(order):
            found.append(order.order_id)

        async def take():
            async with Bus(stock, self.config, transports=self.transports):
                await self.transports.brokers["rabbit"].settled()

        asyncio.run(take())
        return found


def order(name):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (%s)", [name])


def orders():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM orders")
        return [name for (name,) in cursor.fetchall()]


def database(store_url):
    """As a site's settings name the database of a store."""
    url = urlsplit(store_url)
    if url.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.path.removeprefix("/")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": url.username,
        "PASSWORD": url.password,
        "NAME": url.path.removeprefix("/"),
    }


@contextmanager
def connected(store_url, another_url):
    """Django's connections lead to the database of the store and to another, as a site's settings would make them."""
    if not settings.configured:
        settings.configure(USE_TZ=True, LOGGING_CONFIG=None)
        django.setup()
    before = connections.settings
    urls = {"default": store_url, "another": another_url}
    connections.settings = connections.configure_settings({alias: database(url) for alias, url in urls.items()})
    try:
        yield
    finally:
        for each in connections.all(initialized_only=True):
            each.close()
            del connections[each.alias]
        connections.settings = before


class Transactions:
    def test_rows_and_messages_are_committed_together_and_go_out_at_once(self, site):
        with site.bus() as bus:
            with transaction.atomic():
                order("mine")
                with bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="1"))
                    tx.publish(Placed(order_id="2"))
            assert site.left(bus) == 0
            assert orders() == ["mine"]
            with pytest.raises(ClosedError):
                tx.publish(Placed(order_id="late"))
        assert site.taken() == ["1", "2"]

    def test_what_is_rolled_back_is_not_published(self, site):
        with site.bus() as bus:
            with pytest.raises(RuntimeError, match="enough"), transaction.atomic():
                with bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="lost"))
                raise RuntimeError("enough")
            with transaction.atomic():
                with pytest.raises(RuntimeError, match="enough"), transaction.atomic():
                    with bus.outbox(connection) as tx:
                        tx.publish(Placed(order_id="lost with its savepoint"))
                    raise RuntimeError("enough")
                with bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="kept"))
            assert site.left(bus) == 0
        assert site.taken() == ["kept"]

    def test_a_block_that_raises_inserts_nothing_and_leaves_the_transaction_alone(self, site):
        with site.bus() as bus:
            with transaction.atomic():
                order("mine")
                with pytest.raises(RuntimeError, match="enough"), bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="lost"))
                    raise RuntimeError("enough")
            assert orders() == ["mine"]
        assert site.taken() == []

    def test_without_a_transaction_it_is_refused(self, site):
        """Django commits each statement then: the message would not be committed with the rows."""
        with site.bus() as bus:
            with pytest.raises(StoreError, match=r"transaction\.atomic"), bus.outbox(connection):
                pass

    def test_a_connection_to_another_database_is_refused(self, site):
        with site.bus() as bus, transaction.atomic(using="another"):
            with pytest.raises(StoreError, match="another database"), bus.outbox(connections["another"]):
                pass

    def test_something_else_than_a_transaction_is_refused_in_words(self, site):
        with site.bus() as bus, pytest.raises(TypeError, match="Django's connection"):
            bus.outbox("default")

    def test_what_is_scheduled_waits_by_the_databases_clock_once_it_is_committed(self, site):
        with site.bus() as bus:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                with bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="1"), delay=3600)
                raise ZeroDivisionError
            with transaction.atomic(), bus.outbox(connection) as tx:
                message_id = tx.publish(Placed(order_id="2"), delay=3600)
            (found,) = bus.scheduled()
            assert found.id == message_id
            assert 3500 < (found.due - datetime.now(UTC)).total_seconds() <= 3610
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                with bus.outbox(connection) as tx:
                    tx.cancel(message_id)
                raise ZeroDivisionError
            assert len(bus.scheduled()) == 1
            with transaction.atomic(), bus.outbox(connection) as tx:
                tx.cancel(message_id)
            assert not bus.cancel(message_id)
