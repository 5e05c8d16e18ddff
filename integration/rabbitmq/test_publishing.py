"""Publishing: each message has its own outcome, whatever happens to the others and to the line."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.routing import Destination, Kind, Unrouted
from busbridge.transport import Entry, Status
from integration.rabbitmq.bench import SECONDS, entries, entry
from integration.rabbitmq.proxy import proxy_to


def reasons(outcomes):
    return [outcome.error.reason if outcome.status is Status.REFUSED else outcome.status.value for outcome in outcomes]


def test_one_bad_publish_in_a_batch_is_refused_alone(bench):
    """T12: a missing exchange closes the channel under 100 unconfirmed messages; 99 arrive, in order."""
    queue = bench.queue()
    missing = Destination("missing", Kind.TOPIC, "rabbitmq", f"{bench.prefix}.missing")

    async def publish():
        batch = entries(queue, 100)
        batch[49] = entry(missing, 49)
        async with bench.transport(queue) as transport:
            return await transport.publish(batch, SECONDS), await transport.publish(entries(queue, 10, 100), SECONDS)

    outcomes, after = asyncio.run(publish())
    assert reasons(outcomes) == ["confirmed"] * 49 + ["no_destination"] + ["confirmed"] * 50
    assert reasons(after) == ["confirmed"] * 10
    arrived = [int(body) for body, _ in bench.bodies(queue.physical)]
    assert list(dict.fromkeys(arrived)) == [number for number in range(110) if number != 49]


def test_several_bad_publishes_are_each_refused(bench):
    queue = bench.queue()
    missing = Destination("missing", Kind.TOPIC, "rabbitmq", f"{bench.prefix}.missing")

    async def publish():
        batch = [entry(missing if number % 7 == 0 else queue, number) for number in range(30)]
        async with bench.transport(queue) as transport:
            return await transport.publish(batch, SECONDS)

    expected = ["no_destination" if number % 7 == 0 else "confirmed" for number in range(30)]
    assert reasons(asyncio.run(publish())) == expected


def test_what_is_too_large_is_refused_before_it_is_sent(bench):
    queue = bench.queue()

    async def publish():
        async with bench.transport(queue, client={"max_message_size": 1000}) as transport:
            return await transport.publish([entry(queue, 1), entry(queue, 2, size=1001), entry(queue, 3)], SECONDS)

    assert reasons(asyncio.run(publish())) == ["confirmed", "too_large", "confirmed"]


def test_what_the_broker_finds_too_large_is_refused_alone(bench):
    """The broker's limit is lower than ours: it closes the channel, and does not say for which message."""
    queue = bench.queue()

    async def publish():
        batch = entries(queue, 20)
        batch[7] = entry(queue, 7, size=17_000_000)
        async with bench.transport(queue, client={"max_message_size": 20_000_000}) as transport:
            return await transport.publish(batch, SECONDS)

    assert reasons(asyncio.run(publish())) == ["confirmed"] * 7 + ["too_large"] + ["confirmed"] * 12


@pytest.mark.parametrize(
    "bad",
    [
        {"routing_key": "k" * 256},
        {"headers": [("n" * 256, "v")]},
        {"headers": [("n", "\ud800")]},
        {"headers": [("n", 2**70)]},
    ],
    ids=["long key", "long header name", "no unicode", "number"],
)
def test_what_amqp_has_no_bytes_for_is_refused_alone(bench, bad):
    topic = bench.topic(unrouted=Unrouted.IGNORE)

    async def publish():
        wrong = Entry(topic, b"", bad.get("headers", []), routing_key=bad.get("routing_key", ""))
        async with bench.transport(topic) as transport:
            return await transport.publish([entry(topic, 1), wrong, entry(topic, 2)], SECONDS)

    assert reasons(asyncio.run(publish())) == ["confirmed", "invalid", "confirmed"]


def test_headers_larger_than_a_frame_are_refused_alone(bench):
    """The broker closes the whole connection over them."""
    queue = bench.queue()

    async def publish():
        batch = entries(queue, 8)
        batch[3] = Entry(queue, b"", [("large", "x" * 200_000)])
        async with bench.transport(queue) as transport:
            return await transport.publish(batch, SECONDS)

    assert reasons(asyncio.run(publish())) == ["confirmed"] * 3 + ["invalid"] + ["confirmed"] * 4


def test_a_queue_that_is_gone_is_unroutable(any_bench):
    queue = any_bench.queue()

    async def publish():
        async with any_bench.transport(queue) as transport:
            with any_bench.broker.connect() as connection:
                connection.channel().queue_delete(queue.physical)
            return await transport.publish(entries(queue, 3), SECONDS)

    assert reasons(asyncio.run(publish())) == ["unroutable"] * 3


def test_a_message_without_an_id_is_known_when_it_is_returned(bench):
    topic, queue = bench.topic(), bench.queue()

    async def publish():
        async with bench.transport(topic, queue) as transport:
            return await transport.publish(
                [Entry(queue, b"1", []), Entry(topic, b"2", []), Entry(queue, b"3", [])], SECONDS
            )

    assert reasons(asyncio.run(publish())) == ["confirmed", "unroutable", "confirmed"]


@pytest.mark.parametrize(
    ("unrouted", "subscribed", "expected"),
    [
        (None, False, "unroutable"),
        (None, True, "confirmed"),
        (Unrouted.ERROR, True, "unroutable"),
        (Unrouted.IGNORE, False, "confirmed"),
    ],
)
def test_what_nobody_matches_is_an_error_or_ignored_as_declared(bench, unrouted, subscribed, expected):
    """T16: by default an error as long as no subscription is provisioned."""
    topic = bench.topic(unrouted=unrouted)
    plans = [bench.plan(topic, bindings=())] if subscribed else []

    async def publish():
        async with bench.transport(topic, *plans) as transport:
            return await transport.publish([entry(topic, 1, routing_key="nobody")], SECONDS)

    assert reasons(asyncio.run(publish())) == [expected]


def test_a_full_queue_refuses_and_drops_nothing(any_bench):
    queue = any_bench.queue(max_length=5)

    async def publish():
        outcomes = []
        async with any_bench.transport(queue) as transport:
            for number in range(50):
                outcomes += await transport.publish([entry(queue, number)], SECONDS)
        return outcomes

    outcomes = reasons(asyncio.run(publish()))
    assert "overflow" in outcomes
    confirmed = [number for number, outcome in enumerate(outcomes) if outcome == "confirmed"]
    assert [int(body) for body, _ in any_bench.bodies(queue.physical)] == confirmed


def _cut(bench, queue, swallow):
    """Publishes 200 messages over a line that swallows one direction, then is cut."""

    async def publish():
        async with proxy_to(bench.broker) as proxy:
            url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
            async with bench.transport(queue, url=url) as transport:
                setattr(proxy, swallow, True)
                publishing = asyncio.create_task(transport.publish(entries(queue, 200), SECONDS))
                await proxy.swallowed.wait()
                setattr(proxy, swallow, False)
                proxy.cut()
                return await publishing

    assert reasons(asyncio.run(publish())) == ["confirmed"] * 200
    return [int(body) for body, _ in bench.bodies(queue.physical)]


def test_a_line_cut_between_write_and_confirm_loses_nothing(bench):
    arrived = _cut(bench, bench.queue(), "mute")
    assert list(dict.fromkeys(arrived)) == list(range(200))
    assert len(arrived) > 200, "some were written twice: their ids are the same"


def test_what_a_cut_line_swallowed_is_sent_again_in_order(bench):
    assert _cut(bench, bench.queue(), "deaf") == list(range(200))


def test_a_confirm_that_never_comes_is_unknown_at_the_deadline(bench):
    queue = bench.queue()

    async def publish():
        async with proxy_to(bench.broker) as proxy:
            url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
            async with bench.transport(queue, url=url, client={"close_timeout": 0.5}) as transport:
                proxy.mute = True
                begun = asyncio.get_running_loop().time()
                outcomes = await transport.publish(entries(queue, 3), 0.5)
                return outcomes, asyncio.get_running_loop().time() - begun

    outcomes, seconds = asyncio.run(publish())
    assert reasons(outcomes) == ["unknown"] * 3
    assert seconds < 1.5
    assert "orders" in str(outcomes[0].error)
