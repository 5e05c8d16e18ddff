"""What the publisher does while there is no broker."""

from __future__ import annotations

import asyncio

import pytest
from pika.spec import BasicProperties

from busbridge.errors import ClosedError
from busbridge.transport import Status
from busbridge_rabbitmq._batch import Batch, Item
from busbridge_rabbitmq._options import Options
from busbridge_rabbitmq._publisher import Publisher
from busbridge_rabbitmq._routes import Route


class Down:
    """A link to a broker that never comes."""

    broker = "amqp://nowhere:5672"
    trouble = "Connection refused"
    blocked = up = False

    async def wire(self):
        await asyncio.Event().wait()


def publisher(**options):
    made = Publisher(Down(), Options(**options))
    made.begin()
    return made


def publish(to, count, seconds):
    batch = Batch(["orders"] * count, asyncio.get_running_loop().create_future())
    route = Route.to_queue("orders")
    items = [Item(batch, number, route, "orders", BasicProperties(), b"") for number in range(count)]
    return to.publish(batch, items, seconds)


def test_the_outcome_is_unknown_at_the_deadline_and_says_why():
    async def live():
        down = publisher()
        outcomes = await publish(down, 2, 0.01)
        await down.close()
        return outcomes

    first, second = asyncio.run(live())
    assert first.status is second.status is Status.UNKNOWN
    assert "orders" in str(first.error)
    assert "amqp://nowhere:5672: Connection refused" in str(first.error)


def test_what_nobody_waits_for_does_not_pile_up():
    async def live():
        down = publisher()
        for _ in range(3):
            await asyncio.gather(*(publish(down, 10, 0.01) for _ in range(5)))
        cancelled = asyncio.create_task(publish(down, 10, 60))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        status = repr(down)
        await down.close()
        return status

    assert "0 unconfirmed, 0 waiting" in asyncio.run(live())


def test_closing_ends_what_waits_with_an_unknown_outcome():
    async def live():
        down = publisher(close_timeout=0.01)
        waiting = asyncio.create_task(publish(down, 1, 60))
        await asyncio.sleep(0)
        await down.close()
        await down.close()
        with pytest.raises(ClosedError):
            await publish(down, 1, 1)
        return await waiting

    (outcome,) = asyncio.run(live())
    assert outcome.status is Status.UNKNOWN
    assert "closed" in str(outcome.error)


def test_nothing_to_publish_is_done_at_once():
    async def live():
        down = publisher()
        outcomes = await publish(down, 0, 60)
        await down.close()
        return outcomes

    assert asyncio.run(live()) == []
