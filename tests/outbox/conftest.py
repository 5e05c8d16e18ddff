"""A store in a file, rows for it, and a broker that answers as it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count

import pytest

from busbridge.errors import MessageRefused, OutcomeUnknown, StoreUnavailable
from busbridge.outbox import Exit, Inserted, Relay, to_leave, to_outbox
from busbridge.routing import Destination, Kind
from busbridge.store import Store
from busbridge.transport import CONFIRMED, Entry, Outcome, Status

pytest.register_assert_rewrite("tests.outbox.django_cases")

ORDERS = Destination("orders", Kind.QUEUE, "rabbit", "orders")
HISTORY = Destination("history", Kind.STREAM, "log", "history")


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class Message:
    """A message on its way out, to one destination."""

    def __init__(self, message_id, body, key=None, destination=ORDERS):
        self.id = message_id
        self.entries = [(None, Entry(destination, body, [("ce-id", message_id)], key, "shop.placed"))]


class Broker:
    """A way out. What it gets stands in `taken`, as text, in the order of writing; confirms unless told otherwise."""

    def __init__(self):
        self.taken = []
        self.kept = []
        """What of it was confirmed."""
        self.entries = []
        self.refuses = set()
        self.overflows = set()
        self.loses = set()
        self.away = False
        self.room = None
        """Messages that it has room for; None: any number."""
        self.answers = asyncio.Event()
        self.answers.set()
        self._got = asyncio.Event()

    def send(self, entries):
        bodies = [each.body.decode() for each in entries]
        self.taken.extend(bodies)
        self.entries.extend(entries)
        outcomes = [self._outcome(body) for body in bodies]
        self.kept.extend(body for body, outcome in zip(bodies, outcomes, strict=True) if outcome is CONFIRMED)
        self._got.set()
        return asyncio.ensure_future(self._answer(outcomes))

    async def _answer(self, outcomes):
        await self.answers.wait()
        return outcomes

    def _outcome(self, body):
        if self.away or body in self.loses:
            return Outcome(Status.UNKNOWN, error=OutcomeUnknown("orders", "no confirm"))
        if self.room == 0 or body in self.overflows:
            return Outcome(Status.REFUSED, error=MessageRefused("overflow", "orders", "it is full"))
        if self.room is not None:
            self.room -= 1
        if body in self.refuses:
            return Outcome(Status.REFUSED, error=MessageRefused("invalid", "orders", "no bytes for it"))
        return CONFIRMED

    async def got(self, *bodies):
        """Waits until it has taken all of these, each as often as it stands here."""
        while not Counter(bodies) <= Counter(self.taken):
            self._got.clear()
            await self._got.wait()


class Flaky:
    """A store whose database can be taken away. `asked` is set when somebody finds that out."""

    def __init__(self, store):
        self._store = store
        self.away = False
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, **options):
        if self.away:
            self.asked.set()
            raise StoreUnavailable("test", "gone")
        async with self._store.transaction(**options) as transaction:
            yield transaction

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def asked(*args, **options):
            if self.away:
                self.asked.set()
                raise StoreUnavailable("test", "gone")
            return await found(*args, **options)

        return asked


class Place:
    """The database file of one test, and the rows that it has put there."""

    def __init__(self, path):
        self.url = f"sqlite:///{path / 'store.db'}"
        self.ids = count(1)

    @asynccontextmanager
    async def store(self):
        store = Store(self.url, "shop")
        await store.open(upgrade=True)
        try:
            yield store
        finally:
            await store.close()

    async def put(self, store, *bodies, key=None, destination=ORDERS):
        """Commits a row for each body; returns their message ids."""
        messages = [Message(f"m{next(self.ids)}", body.encode(), key, destination) for body in bodies]
        async with store.transaction() as transaction:
            await transaction.put_outbox([row for each in messages for row in to_outbox(each)])
        return [each.id for each in messages]

    async def insert(self, store, *bodies, key=None, destination=ORDERS):
        """As `put`; returns what a relay of this process is told of it."""
        messages = [Message(f"m{next(self.ids)}", body.encode(), key, destination) for body in bodies]
        rows = [each for message in messages for each in to_leave(message)]
        async with store.transaction() as transaction:
            last = await transaction.put_outbox([each.row for each in rows])
        return Inserted(rows, last)


@asynccontextmanager
async def relaying(store, broker, *, elsewhere=None, orders=ORDERS, **options):
    """A relay at work, for `orders` by `broker` and for `history` by `elsewhere`."""
    exits = {"orders": Exit(broker, orders), "history": Exit(elsewhere or broker, HISTORY)}
    relay = Relay(store, exits, **{"poll": 3600.0} | options)
    relay.start()
    try:
        yield relay
    finally:
        await relay.stop(0)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)
