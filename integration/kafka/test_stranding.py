"""Clients that the cluster has left without a single broker are replaced, and nothing is lost on the way.

The broker is fenced again and again: it serves, and names no broker, itself included. A client that may not start anew
from its first addresses (`metadata.recovery.strategy: none`) then forgets its only broker each time. Without that
setting it is a race inside the client, which a restart of a busy broker loses now and then (C30).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from busbridge.errors import StaleDelivery
from busbridge.routing import StartAt
from busbridge.transport import Entry, Status
from integration.kafka.bench import Bench

FENCED_AGAIN_AND_AGAIN = "broker.session.timeout.ms=15000\nbroker.heartbeat.interval.ms=20000"
FORGETFUL = {"metadata.recovery.strategy": "none", "session.timeout.ms": 6_000, "heartbeat.interval.ms": 2_000}
REPLACED = ("the producer can't go on", "reaches no broker any more")
PATIENCE = 150


async def keep_reading(source, read):
    while True:
        for delivery in await source.receive():
            try:
                delivery.accept()
            except StaleDelivery:
                continue
            read.add(delivery.body)


async def keep_publishing(bench, transport, replaced):
    """Publishes, whatever befalls the clients, until both have been replaced, and once more; returns the confirmed."""
    confirmed = set()
    last = False
    while not last:
        last = replaced()
        bodies = [b"%d" % (len(confirmed) + each) for each in range(10)]
        outcomes = await transport.publish([Entry(bench.stream, body, [], body.decode()) for body in bodies], PATIENCE)
        assert [each.status for each in outcomes] == [Status.CONFIRMED] * len(bodies), outcomes
        confirmed.update(bodies)
        await asyncio.sleep(0.1)
    return confirmed


@pytest.mark.timeout(2 * PATIENCE)
def test_stranded_clients_are_replaced_and_lose_nothing(new_kafka, caplog):
    caplog.set_level(logging.WARNING, "busbridge.kafka")
    bench = Bench(new_kafka(settings=FENCED_AGAIN_AND_AGAIN), client=FORGETFUL)

    def replaced():
        return all(any(words in line for line in caplog.messages) for words in REPLACED)

    async def run():
        read = set()
        async with asyncio.timeout(PATIENCE), bench.open() as transport:
            source = await transport.subscribe(bench.plan)
            reading = asyncio.create_task(keep_reading(source, read))
            confirmed = await keep_publishing(bench, transport, replaced)
            while not reading.done() and not confirmed <= read:  # noqa: ASYNC110 - the broker has no event for it
                await asyncio.sleep(0.05)
            reading.cancel()
            await asyncio.wait([reading])
        assert confirmed <= read

    asyncio.run(run())


@pytest.mark.timeout(2 * PATIENCE)
def test_a_stranded_reader_is_replaced_and_reads_everything_once_in_order(new_kafka, caplog):
    caplog.set_level(logging.WARNING, "busbridge.kafka")
    bench = Bench(new_kafka(settings=FENCED_AGAIN_AND_AGAIN), client=FORGETFUL)

    def replaced():
        return any(line.startswith("who reads") and "reaches no broker any more" in line for line in caplog.messages)

    async def run():
        async with asyncio.timeout(PATIENCE), bench.open() as transport:
            history = await transport.read(bench.stream, StartAt("earliest"), None)
            publishing = asyncio.create_task(keep_publishing(bench, transport, replaced))
            read = []
            while not publishing.done() or not publishing.result() <= {each.body for each in read}:
                with suppress(TimeoutError):  # a wait that is cancelled loses nothing
                    read += await asyncio.wait_for(history.receive(), 0.5)
        positions = [each.position for each in read]
        assert len({*positions}) == len(positions)
        for partition in {each.partition for each in positions}:
            offsets = [each.offset for each in positions if each.partition == partition]
            assert offsets == sorted(offsets)

    asyncio.run(run())
