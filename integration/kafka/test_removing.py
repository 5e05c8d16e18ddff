"""Removing a topology leaves no Kafka topic and no consumer group, and takes none that is in use."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.errors import TransportError
from busbridge.routing import Topology
from busbridge_kafka import _removal
from integration.kafka.bench import receive


def left(bench):
    """What the broker has under the names of this bench."""
    admin = bench.broker.admin()
    groups = [each.group_id for each in admin.list_consumer_groups(request_timeout=10).result(10).valid]
    return sorted(name for name in (*admin.list_topics(timeout=10).topics, *groups) if name.startswith(bench.run))


@pytest.mark.parametrize("client", [{}, {"group.protocol": "consumer"}], ids=["classic", "consumer"])
def test_kafka_topics_and_groups_are_gone(new_bench, client):
    bench = new_bench(client=client)

    async def use_and_remove():
        async with bench.open() as transport:
            source = await transport.subscribe(bench.plan)
            await bench.write(transport, b"one")
            await receive(source, 1)
            await source.close()
            there = await asyncio.to_thread(left, bench)
            await transport.remove(Topology((bench.stream,), (bench.plan,)))
        return there

    there = asyncio.run(use_and_remove())
    assert there == sorted([bench.stream.physical, bench.plan.group, bench.plan.dead_letters])
    assert left(bench) == []


def test_a_group_in_use_is_waited_for_and_keeps_its_stream(new_bench, monkeypatch):
    monkeypatch.setattr(_removal, "EMPTY_SECONDS", 0.5)
    bench = new_bench()
    topology = Topology((bench.stream,), (bench.plan,))

    async def remove_while_read():
        async with bench.open() as transport:
            source = await transport.subscribe(bench.plan)
            await bench.write(transport, b"one")
            await receive(source, 1)
            with pytest.raises(TransportError, match=bench.plan.group):
                await transport.remove(topology)
            await bench.write(transport, b"two")
            await receive(source, 1)
            monkeypatch.setattr(_removal, "EMPTY_SECONDS", 30)
            removing = asyncio.create_task(transport.remove(topology))
            await source.close()
            await removing

    asyncio.run(remove_while_read())
    assert left(bench) == []
