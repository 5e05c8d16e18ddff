"""Consuming: nothing that is not finished is acknowledged; what can't be handled is kept."""

from __future__ import annotations

import asyncio

import pika
import pytest

from busbridge.errors import ClosedError, SourceEnded, StaleDelivery
from busbridge.transport import CONFIRMED
from integration.rabbitmq.bench import SECONDS, entries, entry, leave, take
from integration.rabbitmq.proxy import proxy_to

RECORD = (("busbridge-reason", "rejected"),)


def test_what_is_finished_behind_a_running_head_does_not_come_back(bench):
    """A cumulative ack over the hole would lose the head; no ack at all would bring back the rest."""
    queue = bench.queue()
    plan = bench.plan(queue, prefetch=10)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 10), SECONDS)
            source = await transport.subscribe(plan)
            for delivery in (await take(source, 10))[1:]:
                delivery.accept()
            assert await source.flush(SECONDS)

    asyncio.run(consume())
    assert [body for body, _ in bench.bodies(queue.physical)] == [b"0"]


def test_a_stuck_head_does_not_exhaust_the_prefetch(bench):
    """T17: what is finished behind it is acknowledged one by one."""
    queue = bench.queue()
    plan = bench.plan(queue, prefetch=10)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 100), SECONDS)
            source = await transport.subscribe(plan)
            stuck, *others = await take(source, 10)
            for delivery in others:
                delivery.accept()
            rest = 0
            while rest < 90:
                for delivery in (taken := await take(source, 1)):
                    delivery.accept()
                rest += len(taken)
            stuck.accept()
            await leave(source)

    asyncio.run(consume())
    assert bench.count(queue.physical) == 0


def test_the_prefetch_bounds_what_is_handed_over(any_bench):
    queue = any_bench.queue()
    plan = any_bench.plan(queue, prefetch=7)

    async def consume():
        async with any_bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 50), SECONDS)
            source = await transport.subscribe(plan)
            taken = await take(source, 7)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(source.receive(), 0.3)
            taken[3].accept()
            taken[0].accept()
            return await take(source, 1)

    assert len(asyncio.run(consume())) >= 1


def test_a_retried_delivery_comes_again_here_with_the_next_attempt(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 1), SECONDS)
            source = await transport.subscribe(plan)
            attempts = []
            for _ in range(3):
                (delivery,) = await source.receive()
                attempts.append((delivery.attempt, delivery.body))
                delivery.retry()
            (delivery,) = await source.receive()
            delivery.accept()
            await leave(source)
            return attempts

    assert asyncio.run(consume()) == [(1, b"0"), (2, b"0"), (3, b"0")]
    assert bench.count(queue.physical) == 0


def test_a_cancelled_wait_loses_nothing(bench):
    """T5: what was fetched belongs to the source."""
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            source = await transport.subscribe(plan)
            waiting = asyncio.create_task(source.receive())
            await asyncio.sleep(0)
            publishing = asyncio.create_task(transport.publish(entries(queue, 5), SECONDS))
            waiting.cancel()
            await publishing
            return [delivery.body for delivery in await take(source, 5)]

    assert asyncio.run(consume()) == [b"0", b"1", b"2", b"3", b"4"]


def test_what_was_fetched_and_not_begun_goes_back_when_draining(any_bench):
    queue = any_bench.queue()
    plan = any_bench.plan(queue, prefetch=20)

    async def consume():
        async with any_bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 20), SECONDS)
            source = await transport.subscribe(plan)
            begun, *waiting = await take(source, 20)
            source.drain()
            with pytest.raises(SourceEnded):
                await source.receive()
            assert not begun.session.taking
            for delivery in waiting:
                delivery.release()
            async with any_bench.transport(queue, plan) as other:
                taken = await take(await other.subscribe(plan), 19)
                for delivery in taken:
                    delivery.accept()
            begun.accept()
            await source.flush(SECONDS)
            await source.close()
            with pytest.raises(ClosedError):
                await source.receive()

    asyncio.run(consume())
    assert any_bench.count(queue.physical) == 0


def test_a_lost_connection_is_replaced_and_old_deliveries_are_stale(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with proxy_to(bench.broker) as proxy:
            url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
            async with bench.transport(queue, plan, url=url) as transport:
                await transport.publish(entries(queue, 3), SECONDS)
                source = await transport.subscribe(plan)
                old = await take(source, 3)
                proxy.cut()
                again = await take(source, 3)
                for delivery in old:
                    assert not delivery.session.alive
                    with pytest.raises(StaleDelivery):
                        delivery.accept()
                    delivery.release()
                for delivery in again:
                    assert delivery.redelivered
                    delivery.accept()
                await leave(source)

    asyncio.run(consume())
    assert bench.count(queue.physical) == 0


def test_a_deleted_queue_is_declared_again_and_consumed(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            source = await transport.subscribe(plan)
            with bench.broker.connect() as connection:
                connection.channel().queue_delete(queue.physical)
            async with asyncio.timeout(SECONDS):
                while (await transport.publish(entries(queue, 1), SECONDS))[0] is not CONFIRMED:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            return [delivery.body for delivery in await take(source, 1)]

    assert asyncio.run(consume()) == [b"0"]


def test_a_dead_letter_keeps_bytes_headers_and_properties(any_bench):
    """T25, with an x-death that a client wrote, as after a detour through another broker."""
    queue = any_bench.queue()
    plan = any_bench.plan(queue)
    properties = pika.BasicProperties(
        content_type="text/plain",
        headers={"array": [1, "two"], "x-death": [{"queue": "q", "count": 3}], "raw": b"\xff"},
        correlation_id="c",
        message_id="m",
        type="t",
        app_id="legacy",
        expiration="60000",
    )

    async def consume():
        async with any_bench.transport(queue, plan) as transport:
            any_bench.write(queue.physical, b"\x00garbage\xff", properties)
            source = await transport.subscribe(plan)
            (delivery,) = await take(source, 1)
            assert delivery.reject(RECORD)
            await leave(source)

    asyncio.run(consume())
    assert any_bench.count(queue.physical) == 0
    ((body, found),) = any_bench.bodies(plan.dead_letters)
    assert body == b"\x00garbage\xff"
    found.headers.pop("x-delivery-count", None)  # what RabbitMQ 3 adds when it is read
    assert found.headers == properties.headers | dict(RECORD)
    for name in ("content_type", "correlation_id", "message_id", "type", "app_id"):
        assert getattr(found, name) == getattr(properties, name)
    assert found.expiration is None


def _full(bench, queue):
    """Puts a queue that takes nothing where a subscription's dead letters go."""
    with bench.broker.connect() as connection:
        channel = connection.channel()
        channel.queue_delete(queue)
        channel.queue_declare(queue, durable=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})


def test_a_rejected_delivery_is_not_finished_before_its_dead_letter_is_confirmed(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan, client={"close_timeout": 0.5}) as transport:
            await transport.publish(entries(queue, 1), SECONDS)
            source = await transport.subscribe(plan)
            (delivery,) = await take(source, 1)
            _full(bench, plan.dead_letters)
            delivery.reject(RECORD)
            assert not await source.flush(0.5)

    asyncio.run(consume())
    assert bench.count(queue.physical) == 1, "it is still where it was"


def test_a_dead_letter_queue_that_was_deleted_is_declared_again(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            await transport.publish(entries(queue, 1), SECONDS)
            source = await transport.subscribe(plan)
            (delivery,) = await take(source, 1)
            with bench.broker.connect() as connection:
                connection.channel().queue_delete(plan.dead_letters)
            delivery.reject(RECORD)
            assert await source.flush(SECONDS)

    asyncio.run(consume())
    assert bench.count(queue.physical) == 0
    assert len(bench.bodies(plan.dead_letters)) == 1


def test_a_foreign_message_that_the_client_can_not_decode_stops_nobody(bench):
    """A timestamp in milliseconds is beyond Python's years: the bare client closes its connection over it, for ever."""
    queue = bench.queue()
    plan = bench.plan(queue)

    async def consume():
        async with bench.transport(queue, plan) as transport:
            _write_with_late_timestamp(bench, queue.physical)
            await transport.publish(entries(queue, 1), SECONDS)
            source = await transport.subscribe(plan)
            late, _ = taken = await take(source, 2)
            for delivery in taken:
                delivery.accept()
            await leave(source)
            return dict(late.headers)

    assert asyncio.run(consume()) == {"at": 1_700_000_000_000, "ratio": 1.5}


class _Raw(pika.BasicProperties):
    """Properties with fields that the client can't write."""

    def encode(self):
        fields = b"\x02atT" + (1_700_000_000_000).to_bytes(8) + b"\x05ratiod" + b"\x3f\xf8" + bytes(6)
        return [b"\x20\x00", len(fields).to_bytes(4), fields]


def _write_with_late_timestamp(bench, queue):
    bench.write(queue, b"late", _Raw())


def test_an_expired_message_is_a_dead_letter_of_its_queue(any_bench):
    from datetime import timedelta

    queue = any_bench.queue(ttl=timedelta(milliseconds=50))

    async def publish():
        async with any_bench.transport(queue) as transport:
            await transport.publish([entry(queue, 1)], SECONDS)
            async with asyncio.timeout(SECONDS):
                while not await asyncio.to_thread(any_bench.count, f"{queue.physical}.dead"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    asyncio.run(publish())
    ((body, properties),) = any_bench.bodies(f"{queue.physical}.dead")
    assert body == b"1"
    assert properties.headers["x-first-death-reason"] == "expired"


def test_a_subscription_that_is_not_durable_keeps_nothing_while_nobody_is_there(any_bench):
    topic = any_bench.topic()
    plan = any_bench.plan(topic, durable=False)

    async def consume():
        async with any_bench.transport(topic, plan) as transport:
            source = await transport.subscribe(plan)
            await transport.publish([entry(topic, 1)], SECONDS)
            (first,) = await take(source, 1)
            first.accept()
            await leave(source)
            await transport.publish([entry(topic, 2)], SECONDS)
            source = await transport.subscribe(plan)
            await transport.publish([entry(topic, 3)], SECONDS)
            return first.body, [delivery.body for delivery in await take(source, 1)]

    assert asyncio.run(consume()) == (b"1", [b"3"])
