"""Leaving: what was settled last stays settled, however many commands that took."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from busbridge.errors import SourceEnded
from busbridge.transport import CONFIRMED
from integration.rabbitmq.bench import SECONDS, entry, take

HELD = 200
BEYOND = 20
FLOWING = 2000
"""Messages that are still on their way when a source drains."""
SIDE_BY_SIDE = 8
"""Sources that leave at once: the busier the broker, the longer its queues take to apply what a channel passed on."""

KINDS = [pytest.param({}, id="shared"), pytest.param({"ordered": True, "partitions": 1}, id="shard")]


def remaining(bench, queue, least=1):
    """What the broker has left once it knows that the consumer has gone, in order.

    Only when it has shown `least` messages does its silence mean that there are no more.
    """
    patience = time.monotonic() + SECONDS
    name = f"{queue.physical}.0" if queue.ordered else queue.physical
    found = []
    with bench.broker.connect() as connection:
        channel = connection.channel()
        while channel.queue_declare(name, passive=True).method.consumer_count:
            connection.sleep(0.02)
        for method, _, body in channel.consume(name, inactivity_timeout=0.3):
            if method is not None:
                found.append(int(body))
            elif len(found) >= least or time.monotonic() > patience:
                return found
    return found


async def leaves(settle, transport, plan):
    """Holds 200 of 220 messages of one key, settles them as told, leaves at once; returns what it accepted."""
    await transport.publish([entry(plan.destination, number, "k") for number in range(HELD + BEYOND)], SECONDS)
    source = await transport.subscribe(plan)
    taken = await take(source, HELD)
    await settle(source, taken)
    assert await source.flush(SECONDS)
    await source.close()
    return {int(delivery.body) for delivery in taken if delivery.settlement}


def left_and_accepted(bench, leave, total=HELD + BEYOND, **changes):
    """Of several sources side by side, with `total` messages each: what is left in the queue, and what was accepted."""
    queues = [bench.queue(f"q{number}", **changes) for number in range(SIDE_BY_SIDE)]
    plans = [bench.plan(queue, prefetch=HELD, ordered=queue.ordered) for queue in queues]

    async def all_leave():
        async with bench.transport(*queues, *plans) as transport:
            return await asyncio.gather(*(leave(transport, plan) for plan in plans))

    accepted = asyncio.run(all_leave())
    found = zip(queues, accepted, strict=True)
    return [(remaining(bench, queue, total - len(finished)), finished) for queue, finished in found]


async def half(source, taken):
    """Drains, and releases every second delivery, as a service that has not begun them."""
    source.drain()
    for number, delivery in enumerate(taken):
        delivery.release() if number % 2 else delivery.accept()


async def late_heads(source, taken):
    """Drains when every second delivery is finished, then finishes the others one after another."""
    for delivery in taken[1::2]:
        delivery.accept()
    source.drain()
    for delivery in taken[::2]:
        delivery.accept()
        await asyncio.sleep(0)


def test_what_was_accepted_does_not_come_again_when_the_rest_is_given_back(any_bench):
    for left, accepted in left_and_accepted(any_bench, partial(leaves, half)):
        assert not accepted & set(left)
        assert len(accepted) + len(left) == HELD + BEYOND


@pytest.mark.parametrize("changes", KINDS)
def test_what_was_accepted_out_of_order_does_not_come_again(any_bench, changes):
    for left, accepted in left_and_accepted(any_bench, partial(leaves, late_heads), **changes):
        assert len(accepted) == HELD
        assert sorted(left) == list(range(HELD, HELD + BEYOND))


def test_what_was_held_comes_again_before_what_was_not(any_bench):
    """A shard that is left without draining, by a service that crashed: nothing of a key is overtaken."""

    async def nothing_but_a_few(_source, taken):
        for delivery in taken[:50]:
            delivery.accept()
        await asyncio.sleep(0)

    for left, accepted in left_and_accepted(any_bench, partial(leaves, nothing_but_a_few), ordered=True, partitions=1):
        assert not accepted & set(left)
        assert left == sorted(left)


async def one_is_cut_off(transport, plan, *, dies=False):
    """Drains in full flow and gives up what has not finished when all is published, as a stop whose grace is over."""
    publishing = asyncio.create_task(
        transport.publish([entry(plan.destination, number, "k") for number in range(FLOWING)], SECONDS)
    )
    source = await transport.subscribe(plan)
    first, *others = await take(source, HELD)
    for delivery in others:
        delivery.accept()
    source.drain()
    unfinished = [first, *await rest(source)]
    assert all(outcome == CONFIRMED for outcome in await publishing)
    if dies:
        (await source._link.wire()).drop()
    for delivery in unfinished:
        delivery.release()
    await source.flush(SECONDS)
    await source.close()
    return {int(delivery.body) for delivery in others}


async def rest(source):
    """What is still handed over after draining."""
    found = []
    try:
        while True:
            found += await source.receive()
    except SourceEnded:
        return found


def test_a_stop_that_outlasts_its_grace_lets_nothing_overtake_what_it_cut_off(any_bench):
    """What was on its way to the worker, and what was published meanwhile, comes after what its handlers left."""
    for left, accepted in left_and_accepted(any_bench, one_is_cut_off, FLOWING, ordered=True, partitions=1):
        assert left == [number for number in range(FLOWING) if number not in accepted]


def test_a_connection_that_is_lost_while_stopping_lets_nothing_overtake_either(any_bench):
    """Its last acknowledgements may go with it, its order may not."""
    dying = partial(one_is_cut_off, dies=True)
    for left, accepted in left_and_accepted(any_bench, dying, FLOWING, ordered=True, partitions=1):
        assert left == sorted(left)
        assert accepted | set(left) == set(range(FLOWING))


def suspend(broker, queue, verb="suspend"):
    """Stops the process of a quorum queue: what channels tell it waits until it is told to resume."""
    name = f'rabbit_misc:r(<<"/">>, queue, <<"{queue.physical}">>)'
    find = f"{{ok, Queue}} = rabbit_amqqueue:lookup({name}), {{Name, _}} = amqqueue:get_pid(Queue)"
    broker.control("eval", f"{find}, sys:{verb}(Name).")


def test_what_a_channel_keeps_back_for_a_slow_queue_reaches_it(private_bench):
    """The channel passes 32 commands on and keeps the rest until the queue answers; closed sooner, it forgets them."""
    queue = private_bench.queue()
    plan = private_bench.plan(queue, prefetch=HELD)

    async def leave():
        async with private_bench.transport(queue, plan, client={"close_timeout": SECONDS}) as transport:
            await transport.publish([entry(queue, number) for number in range(HELD)], SECONDS)
            source = await transport.subscribe(plan)
            _, *others = await take(source, HELD)
            await asyncio.to_thread(suspend, private_bench.broker, queue)
            try:
                for delivery in others:
                    delivery.accept()
                closing = asyncio.create_task(source.close())
                await asyncio.wait([closing], timeout=1)
            finally:
                await asyncio.to_thread(suspend, private_bench.broker, queue, "resume")
            await closing

    asyncio.run(leave())
    assert remaining(private_bench, queue) == [0]
