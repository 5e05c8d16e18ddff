"""Exactly once from stream to stream: processes die, partitions move, answers are lost (T23, C34)."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from unittest.mock import patch

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from busbridge import Context, Service
from busbridge.errors import TransactionAborted
from busbridge.transport import Entry, Finished
from integration.kafka.bench import receive, until
from integration.kafka.transforming import HALVES, NOTHING, Half, Scene, Whole, halving

SHORT = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000, "transaction.timeout.ms": 1_000}
"""What a dead process held is soon another's: its partitions, and the ends of streams that it left open."""
FEW = [("all_but_committed", 1), ("committed", 2)]
EVERY = [("in_handler", 25), ("before_commit", 2), ("produced", 2), *FEW, ("all_but_committed", 3), ("after_commit", 2)]


@asynccontextmanager
async def child(scene, **job):
    process = scene.start(**job)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()


@pytest.mark.parametrize("seams", [FEW, pytest.param(EVERY, marks=pytest.mark.faults)], ids=["few", "every"])
def test_a_process_that_dies_at_any_seam_leaves_each_message_once(kafka, seams):
    async def run():
        scene = Scene(kafka, SHORT)
        async with scene.open() as bus:
            await scene.publish(bus, 100)
            for seam, nth in seams:
                await scene.killed(bus, seam=seam, nth=nth)
                await scene.publish(bus, 100)
            async with child(scene):
                await scene.complete(bus)
            assert await scene.wrong(bus) == NOTHING

    asyncio.run(run())


@pytest.mark.parametrize(
    "client",
    [{}, pytest.param({"group.protocol": "consumer"}, marks=pytest.mark.faults)],
    ids=["classic", "KIP-848"],
)
def test_members_that_come_and_go_leave_each_message_once(kafka, client):
    async def run():
        scene = Scene(kafka, client)
        async with scene.open() as bus:
            async with scene.bus(halving(scene.run, 0.01)) as one:
                async with scene.bus(halving(scene.run, 0.01)) as other:
                    while not (one.counts["halve"].handled and other.counts["halve"].handled):
                        await scene.publish(bus, 30)
                        await asyncio.sleep(0.05)
                await scene.publish(bus, 100)
                await scene.complete(bus)
            assert await scene.wrong(bus) == NOTHING

    asyncio.run(run())


def test_what_the_broker_refuses_is_a_dead_letter_and_all_beside_it_is_committed(kafka):
    """It refuses whole batches, of which one message is too large: which one is found by committing them apart."""

    async def run():
        scene = Scene(kafka)
        service = Service(scene.run, publishes=[Half, Whole])

        @service.subscription("halve").handles(Whole)
        async def halve(whole: Whole, context: Context) -> None:
            context.publish(Half(key=whole.key, half=str(whole.number), padding="x" * 5_000 * (whole.number == 7)))

        async with scene.open() as bus:
            scene.refuse_more_than(2_000)
            await scene.publish(bus, 15)
            async with scene.bus(service) as working:
                await until(lambda: working.counts["halve"].dead)
                await until(lambda: working.counts["halve"].handled == 14)
            assert sorted(await scene.halves(bus), key=int) == [str(number) for number in range(15) if number != 7]
            assert working.counts["halve"].dead == {"publish_refused": 1}

    asyncio.run(run())


def test_what_is_redriven_is_there_once(kafka):
    async def run():
        scene = Scene(kafka)
        broken = True
        service = Service(scene.run, publishes=[Half, Whole])

        @service.subscription("halve").handles(Whole)
        async def halve(whole: Whole, context: Context) -> None:
            for half in HALVES:
                context.publish(Half(key=whole.key, half=f"{whole.number}-{half}"))
            if broken and whole.number < 3:
                raise RuntimeError("not now")

        async with scene.open() as bus:
            await scene.publish(bus, 10)
            async with scene.bus(service) as working:
                await until(lambda: working.counts["halve"].handled == 7)
                await until(lambda: working.counts["halve"].dead.total() == 3)
                broken = False
                sent = 0
                while sent < 3:  # they are counted before they are committed
                    sent += (await working.dead_letters().redrive()).count
                await scene.complete(bus)
            assert await scene.wrong(bus) == NOTHING

    asyncio.run(run())


class Lossy(Producer):
    """Of every three commits, loses the answer to one, and drops another."""

    commits = 0

    def commit_transaction(self, *arguments):
        Lossy.commits += 1
        if Lossy.commits % 3 != 1:
            super().commit_transaction(*arguments)
        if Lossy.commits % 3 != 0:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def test_a_commit_whose_answer_was_lost_is_found_out(kafka):
    async def run():
        scene = Scene(kafka, subscription={"prefetch": 40})
        async with scene.open() as bus:
            await scene.publish(bus, 300)
            with patch("busbridge_kafka._transport.Producer", Lossy):
                async with scene.bus(halving(scene.run, 0.01)):
                    await scene.complete(bus)
            assert Lossy.commits > 3
            assert await scene.wrong(bus) == NOTHING

    asyncio.run(run())


def test_a_member_whose_partitions_are_another_s_commits_nothing(kafka):
    """A zombie: it does not know yet that they are gone, and the broker does (KIP-447)."""

    async def run():
        scene = Scene(kafka)
        async with scene.open() as bus, AsyncExitStack() as stack:
            one = await stack.enter_async_context(scene.transport())
            source = await one.subscribe_transactional(scene.plan)
            await scene.publish(bus, 10)
            delivery = (await receive(source, 1, settle=False))[0]
            known = source._source.membership
            other = await (await stack.enter_async_context(scene.transport())).subscribe_transactional(scene.plan)
            await until(lambda: source._source.membership != known)
            entry = Entry(scene.loaded.destinations["halves"], b"{}", [])
            with patch.object(type(source), "_membership", lambda source, finished: known):
                with pytest.raises(TransactionAborted, match="generation"):
                    await source.commit([Finished(delivery, [entry])])
            await other.close()
            assert await scene.halves(bus) == []

    asyncio.run(run())
