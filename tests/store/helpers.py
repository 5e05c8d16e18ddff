"""What the tests of the store say often."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import wraps

from sqlalchemy import text

from busbridge.store import InboxKey, InboxRow, InboxState, OutboxRow, ParkedRow, TimerRow

PLACE = "shop.orders/take"
ALL_SLOTS = range(16)


def in_loop(test):
    """The coroutine function as a test."""

    @wraps(test)
    def run(*arguments, **fixtures):
        asyncio.run(test(*arguments, **fixtures))

    return run


@asynccontextmanager
async def opened(*stores):
    """The stores, open."""
    try:
        for store in stores:
            await store.open(upgrade=True)
        yield stores[0] if len(stores) == 1 else stores
    finally:
        for store in stores:
            await store.close()


def key(message_id, **others):
    return InboxKey(**{"place": PLACE, "source": "checkout", "message_id": message_id} | others)


def row(message_id, state=InboxState.HANDLED, attempt=1, **others):
    return InboxRow(key(message_id), state, attempt, **others)


def message(message_id, *, key="order-1", slot=3, destination="orders"):
    return OutboxRow(0, slot, message_id, destination, "shop.order", key, '[["ce-id", "1"]]', b'{"order": 1}')


def timer(timer_id, due, place=PLACE):
    return TimerRow(timer_id, place, due, 1, "order-1", "[]", b"{}", "0:17")


def parked(key, number, subscription="shop.orders"):
    return ParkedRow(subscription, key, PLACE, number, "[]", b"{}", f"0:{number}")


async def execute(store, statement, **values):
    """Rows of a statement in a transaction of its own; none if it returns no rows."""
    async with store.transaction() as transaction:
        result = await transaction.connection.execute(text(statement), values)
        return [tuple(each) for each in result] if result.returns_rows else []


async def put(store, *messages):
    async with store.transaction() as transaction:
        await transaction.put_outbox(messages)


async def pending(store, **options):
    return [each.message_id for each in await store.pending(ALL_SLOTS, 100, **options)]


async def until(condition):
    """Returns when `condition()`, awaited, is true."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what another process has done
            await asyncio.sleep(0.01)
