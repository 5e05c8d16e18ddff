"""What the in-memory broker takes, and what it refuses as a real one would."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.errors import ClosedError, MessageRefused
from busbridge.memory import MemoryTransport
from busbridge.routing import TransportSettings, Unrouted
from busbridge.transport import Status


def reason(outcome):
    assert outcome.status is Status.REFUSED
    assert isinstance(outcome.error, MessageRefused)
    return outcome.error.reason


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (bytearray(b"x"), (), "invalid"),
        ("text", (), "invalid"),
        (None, (), "invalid"),
        (b"x" * (16 * 1024 * 1024 + 1), (), "too_large"),
        (b"x", (("number", 1),), "invalid"),
        (b"x", (("half", "\ud800"),), "invalid"),
    ],
)
def test_what_a_broker_could_not_carry_is_refused(shop, body, headers, expected):
    async def scenario():
        queue = shop.place("queue")
        await shop.provision(queue)
        (outcome,) = await shop.publish(queue, body, headers=headers)
        assert reason(outcome) == expected

    asyncio.run(scenario())


def test_a_stream_carries_a_message_without_a_body(shop):
    async def scenario():
        stream = shop.place("stream")
        source = await shop.subscribed(shop.plan(stream))
        await shop.publish(stream, None, key="gone")
        (delivery,) = await source.receive()
        assert delivery.body is None

    asyncio.run(scenario())


def test_what_the_publisher_changes_afterwards_does_not_reach_the_consumer(shop):
    async def scenario():
        queue = shop.place("queue")
        source = await shop.subscribed(shop.plan(queue))
        headers = [("a", "1")]
        await shop.publish(queue, b"x", headers=headers)
        headers.append(("b", "2"))
        (delivery,) = await source.receive()
        assert list(delivery.headers) == [("a", "1")]

    asyncio.run(scenario())


def test_a_destination_that_was_not_provisioned_is_refused(shop):
    (outcome,) = asyncio.run(shop.publish(shop.place("queue", "nowhere"), b"x"))
    assert reason(outcome) == "no_destination"


@pytest.mark.parametrize(
    ("unrouted", "subscribed", "refused"),
    [
        (None, False, True),
        (None, True, False),
        (Unrouted.ERROR, True, True),
        (Unrouted.IGNORE, False, False),
    ],
)
def test_unrouted_decides_what_a_message_is_that_nobody_takes(shop, unrouted, subscribed, refused):
    async def scenario():
        topic = shop.place("topic", unrouted=unrouted)
        await shop.provision(topic, *([shop.plan(topic, bindings=())] if subscribed else []))
        (outcome,) = await shop.publish(topic, b"x", routing_key="shop.order")
        assert (outcome.status is Status.REFUSED) == refused

    asyncio.run(scenario())


def test_a_bounded_queue_has_room_again_when_a_message_is_settled(shop):
    async def scenario():
        queue = shop.place("queue", max_length=2)
        source = await shop.subscribed(shop.plan(queue))
        *taken, beyond = await shop.publish(queue, b"1", b"2", b"3")
        assert [each.status for each in taken] == [Status.CONFIRMED] * 2
        assert reason(beyond) == "overflow"
        (await source.receive())[0].accept()
        (outcome,) = await shop.publish(queue, b"4")
        assert outcome.status is Status.CONFIRMED

    asyncio.run(scenario())


def test_a_closed_transport_publishes_nothing(shop):
    async def scenario():
        await shop.transport.close()
        with pytest.raises(ClosedError):
            await shop.publish(shop.place("queue"), b"x")

    asyncio.run(scenario())


def test_there_is_no_client_that_could_take_settings():
    faults = list(MemoryTransport.check(TransportSettings("m", "memory://", client={"heartbeat": 1})))
    assert ["heartbeat" in str(each) for each in faults] == [True]


def test_a_publisher_that_never_waits_lets_others_run(shop):
    async def scenario():
        queue = shop.place("queue")
        await shop.provision(queue)
        ran = asyncio.Event()
        asyncio.get_running_loop().call_soon(ran.set)
        for _ in range(1000):
            await shop.publish(queue, b"x")
            if ran.is_set():
                return
        pytest.fail("1000 publishes in a row never gave the loop its turn")

    asyncio.run(scenario())
