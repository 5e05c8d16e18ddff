"""A queue that is full, on RabbitMQ: what waits in the outbox goes out as it has room, and soon."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from itertools import pairwise

from busbridge import Bus, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove
from tests.runtime.conftest import Placed

COUNT = 2_000
ROOM = 50


async def emptied(broker, queue, seconds):
    """All that comes, taken out by a bare client in handfuls, as a slow consumer would."""
    found = []
    with broker.connect() as connection:
        channel = connection.channel()
        end = time.monotonic() + seconds
        while len(found) < COUNT and time.monotonic() < end:
            for _ in range(ROOM // 2):
                _, properties, body = channel.basic_get(queue, auto_ack=True)
                if properties is None:
                    break
                found.append(json.loads(body)["order_id"])
            await asyncio.sleep(0.005)
    return found


async def test_what_waits_for_a_full_queue_goes_out_as_it_has_room(rabbitmq, tmp_path):
    """Each row that backed off by itself would wait up to a minute."""
    own = f"full-{uuid.uuid4().hex[:8]}"
    config = {
        "transports": {"rabbit": {"url": rabbitmq.url}},
        "destinations": {"orders": {"kind": "queue", "transport": "rabbit", "name": own, "max_length": ROOM}},
        "routes": {"shop.placed": {"to": "orders"}},
        "services": {own: {"store": {"url": f"sqlite:///{tmp_path}/shop.db"}}},
    }
    try:
        async with Bus(Service(own, publishes=[Placed]), config) as bus:
            async with bus.transaction() as tx:
                for number in range(COUNT):
                    tx.publish(Placed(order_id=str(number)))
            found = await emptied(rabbitmq, own, 40)
    finally:
        await remove(load(config), InstalledTransports(), ["rabbit"])
    assert sorted(found, key=int) == [str(number) for number in range(COUNT)]
    overtaken = sum(int(one) > int(other) for one, other in pairwise(found))
    assert overtaken < COUNT / 20, "there may be room again for the next one that was sent along"
