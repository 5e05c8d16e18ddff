"""Connecting, provisioning, leaving: each failure is named, none shows a password."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from busbridge.errors import AccessRefused, ClosedError, TopologyMismatch, Unavailable
from busbridge.routing import Tls
from busbridge.transport import CONFIRMED
from busbridge_rabbitmq import RabbitMQTransport
from integration.brokers._ports import free_ports
from integration.rabbitmq.bench import SECONDS, Bench, entries, leave, settings_for, take


def opened(url, **changes):
    async def open_and_close():
        transport = RabbitMQTransport(settings_for(url, **changes))
        try:
            await transport.open()
        finally:
            await transport.close()

    asyncio.run(open_and_close())


def test_a_wrong_password_is_refused_at_once_and_names_user_and_host(any_bench):
    with pytest.raises(AccessRefused) as caught:
        opened(any_bench.broker.url, password=SecretStr("sesame"))
    assert "'guest'" in str(caught.value)
    assert f"127.0.0.1:{any_bench.broker.port}" in str(caught.value)
    assert "sesame" not in repr(caught.value) + str(caught.value.__cause__)


def test_a_virtual_host_that_is_not_there_is_refused_at_once(any_bench):
    with pytest.raises(AccessRefused, match="nowhere"):
        opened(any_bench.broker.url.rstrip("/") + "/nowhere")


def test_a_broker_that_is_down_is_waited_for_then_unavailable(caplog):
    with free_ports(1) as (port,):
        pass
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port} could not be reached for 0\.7 s"):
        opened(f"amqp://guest:guest@127.0.0.1:{port}/", patience=0.7)
    assert any("waiting for amqp://127.0.0.1" in record.getMessage() for record in caplog.records)


def test_of_several_nodes_one_that_is_down_is_passed_over_at_once(any_bench):
    with free_ports(1) as (port,):
        pass
    down, up = f"127.0.0.1:{port}", f"127.0.0.1:{any_bench.broker.port}"
    for nodes in (f"{down},{up}", f"{up},{down}"):
        opened(f"amqp://guest:guest@{nodes}/", patience=1.5)


def test_tls_with_an_own_authority(rabbitmq_tls, certificates):
    bench = Bench(rabbitmq_tls)
    queue = bench.queue()

    async def publish():
        async with bench.transport(queue, url=rabbitmq_tls.tls_url, tls=Tls(ca=certificates.ca)) as transport:
            return await transport.publish(entries(queue, 3), SECONDS)

    assert asyncio.run(publish()) == [CONFIRMED] * 3


def test_tls_with_a_client_certificate(rabbitmq_mutual_tls, certificates):
    client = certificates.client
    opened(rabbitmq_mutual_tls.tls_url, tls=Tls(certificates.ca, client.certificate, client.key))


def test_a_broker_of_another_authority_is_refused_at_once(rabbitmq_tls, certificates):
    with pytest.raises(AccessRefused, match=r"(?i)certificate"):
        opened(rabbitmq_tls.tls_url, tls=Tls(ca=certificates.other_ca))


def test_a_queue_with_other_arguments_is_a_mismatch_that_names_the_difference(any_bench):
    queue = any_bench.queue(max_length=5)

    async def provision():
        async with any_bench.transport(queue):
            pass
        async with any_bench.transport() as transport:
            with pytest.raises(TopologyMismatch) as caught:
                await transport.provision(any_bench.topology(replace(queue, max_length=6)))
            return str(caught.value)

    message = asyncio.run(provision())
    assert queue.physical in message
    assert "x-max-length" in message
    assert "'5'" in message
    assert "'6'" in message


def test_what_may_not_be_created_must_be_there(any_bench):
    queue = any_bench.queue(provision=False)

    async def provision():
        async with any_bench.transport() as transport:
            with pytest.raises(TopologyMismatch, match="is missing"):
                await transport.provision(any_bench.topology(queue))
            await transport.provision(any_bench.topology(replace(queue, provision=True)))
            await transport.provision(any_bench.topology(queue))

    asyncio.run(provision())


@pytest.mark.parametrize("other", [2, 5], ids=["fewer", "more"])
def test_another_number_of_shards_is_refused(any_bench, other):
    queue = any_bench.queue(ordered=True, partitions=3)

    async def provision():
        async with any_bench.transport(queue, replace(queue, partitions=3)) as transport:
            with pytest.raises(TopologyMismatch, match="partitions; their number is fixed"):
                await transport.provision(any_bench.topology(replace(queue, partitions=other)))

    asyncio.run(provision())
    with any_bench.broker.connect() as connection:
        channel = connection.channel()
        for number in range(3, 5):
            with pytest.raises(Exception, match="NOT_FOUND"):
                connection.channel().queue_declare(f"{queue.physical}.{number}", passive=True)
        channel.close()


def test_closed_is_closed_for_everything_and_twice_is_fine(bench):
    queue = bench.queue()
    plan = bench.plan(queue)

    async def close():
        async with bench.transport(queue, plan) as transport:
            source = await transport.subscribe(plan)
            waiting = asyncio.create_task(source.receive())
            await asyncio.sleep(0)
            await transport.close()
            await transport.close()
            with pytest.raises(ClosedError):
                await waiting
            for use in (transport.publish([], 1), transport.subscribe(plan), transport.open()):
                with pytest.raises(ClosedError):
                    await use

    asyncio.run(close())


def test_a_restart_needs_nothing_from_the_client(private_bench):
    """Publisher, consumer, prefetch and claims are all restored; nothing confirmed is lost."""
    queue = private_bench.queue()
    ordered = private_bench.queue("ordered", ordered=True, partitions=2)
    plans = [private_bench.plan(queue), private_bench.plan(ordered, "ordered")]

    async def live():
        async with private_bench.transport(queue, ordered, *plans) as transport:
            sources = [await transport.subscribe(plan) for plan in plans]
            seen = [set(), set()]
            readers = [asyncio.create_task(_read(source, found)) for source, found in zip(sources, seen, strict=True)]
            for where in (queue, ordered):
                await transport.publish(entries(where, 50), SECONDS)
            restart = asyncio.create_task(asyncio.to_thread(private_bench.broker.restart))
            for start in range(50, 250, 50):
                for where in (queue, ordered):
                    assert await transport.publish(entries(where, 50, start), 60) == [CONFIRMED] * 50
            await restart
            async with asyncio.timeout(60):
                while any(len(found) < 250 for found in seen):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            for source in sources:
                await leave(source)

    asyncio.run(live())


async def _read(source, found):
    while True:
        for delivery in await source.receive():
            found.add(delivery.body)
            if delivery.session.alive:
                delivery.accept()
            else:
                delivery.release()


def test_a_blocked_publisher_waits_in_bounded_memory_and_can_leave(private_bench):
    """T18: under a memory alarm the client's own buffer would grow without end, and its close would hang."""
    queue = private_bench.queue()
    plan = private_bench.plan(queue)

    async def blocked():
        client = {"max_unconfirmed": 50, "close_timeout": 1.0}
        async with private_bench.transport(queue, plan, client=client) as transport:
            source = await transport.subscribe(plan)
            await transport.publish(entries(queue, 5), SECONDS)
            await asyncio.to_thread(private_bench.broker.memory_alarm, True)
            late = [asyncio.create_task(transport.publish(entries(queue, 100, 100 * n), 3)) for n in range(1, 5)]
            for delivery in await take(source, 5):
                delivery.accept()  # acks have a connection of their own
            assert await source.flush(SECONDS)
            outcomes = [outcome for each in await asyncio.gather(*late) for outcome in each]
            written = transport._publisher.in_flight
            begun = asyncio.get_running_loop().time()
            await transport.close()
            return outcomes, written, asyncio.get_running_loop().time() - begun

    try:
        outcomes, written, closing = asyncio.run(blocked())
    finally:
        private_bench.broker.memory_alarm(False)
    assert {outcome.status.value for outcome in outcomes} == {"unknown"}
    assert "alarm" in str(outcomes[0].error)
    assert written <= 50
    assert closing < 6


def test_an_alarm_that_ends_lets_everything_through_once(private_bench):
    """Nothing is sent again while the session lives."""
    queue = private_bench.queue()

    async def blocked():
        async with private_bench.transport(queue) as transport:
            await asyncio.to_thread(private_bench.broker.memory_alarm, True)
            publishing = asyncio.create_task(transport.publish(entries(queue, 200), 60))
            await asyncio.wait([publishing], timeout=1)
            await asyncio.to_thread(private_bench.broker.memory_alarm, False)
            return await publishing

    assert asyncio.run(blocked()) == [CONFIRMED] * 200
    assert [int(body) for body, _ in private_bench.bodies(queue.physical)] == list(range(200))
