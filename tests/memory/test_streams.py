"""Streams: positions, groups, history, and what a log forgets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from busbridge.errors import PositionLost
from busbridge.routing import StartAt


async def read(source, count):
    """Takes and accepts so many deliveries."""
    found = []
    while len(found) < count:
        for each in await source.receive():
            each.accept()
            found.append(each)
    return found


def test_a_key_has_one_partition_and_its_messages_have_offsets_in_order(shop):
    async def scenario():
        stream = shop.place("stream", partitions=4)
        await shop.provision(stream)
        outcomes = await shop.publish(stream, *[b"x"] * 5, key="a")
        assert [each.position.offset for each in outcomes] == [0, 1, 2, 3, 4]
        assert len({each.position.partition for each in outcomes}) == 1

    asyncio.run(scenario())


def test_messages_without_a_key_are_spread(shop):
    async def scenario():
        stream = shop.place("stream", partitions=4)
        await shop.provision(stream)
        outcomes = await shop.publish(stream, *[b"x"] * 8)
        assert {each.position.partition for each in outcomes} == {0, 1, 2, 3}

    asyncio.run(scenario())


def test_a_partition_moves_when_what_had_begun_is_finished(shop):
    async def scenario():
        plan = shop.plan(shop.place("stream", partitions=2))
        first = await shop.subscribed(plan)
        await shop.publish(plan.destination, *[b"x"] * 4)
        held = await first.receive()
        second = await shop.subscribed(plan)
        joining = asyncio.create_task(second.receive())
        moving = [each for each in held if not each.session.taking]
        assert len(moving) == 2
        moving[0].accept()
        assert moving[1].session.alive
        moving[1].release()
        (again,) = await joining
        assert again.position == moving[1].position
        assert again.redelivered

    asyncio.run(scenario())


def test_a_member_that_leaves_is_replaced_from_the_first_unfinished_message(shop):
    async def scenario():
        plan = shop.plan(shop.place("stream", partitions=1))
        first = await shop.subscribed(plan)
        await shop.publish(plan.destination, b"1", b"2", b"3")
        held = await first.receive()
        held[0].accept()
        held[2].accept()
        await first.close()
        again = await read(await shop.subscribed(plan), 2)
        assert [each.body for each in again] == [b"2", b"3"]

    asyncio.run(scenario())


def test_a_log_forgets_what_is_older_than_its_retention(shop):
    async def scenario():
        stream = shop.place("stream", partitions=1, retention=timedelta(hours=1))
        await shop.provision(stream)
        await shop.publish(stream, b"old")
        shop.clock.seconds += 3601
        await shop.publish(stream, b"new")
        (found,) = await read(await shop.subscribed(shop.plan(stream)), 1)
        assert (found.body, found.position.offset) == (b"new", 1)

    asyncio.run(scenario())


def test_a_position_that_the_log_no_longer_holds_stops_the_subscription(shop):
    async def scenario():
        stream = shop.place("stream", partitions=1, retention=timedelta(hours=1))
        slow = await shop.subscribed(shop.plan(stream, "slow"))
        await shop.publish(stream, b"old")
        await slow.close()
        shop.clock.seconds += 3601
        await shop.publish(stream, b"new")
        await shop.subscribed(shop.plan(stream, "other"))
        with pytest.raises(PositionLost, match=r"had reached offset 0 .* holds 1 to 2"):
            await (await shop.subscribed(shop.plan(stream, "slow"))).receive()

    asyncio.run(scenario())


def test_compaction_keeps_the_newest_of_each_key_for_a_new_group(shop):
    async def scenario():
        stream = shop.place("stream", partitions=1, compaction=True)
        await shop.provision(stream)
        await shop.publish(stream, b"a1", b"a2", key="a")
        await shop.publish(stream, b"b1", key="b")
        late = await shop.subscribed(shop.plan(stream))
        found = await read(late, 2)
        assert [(each.body, each.position.offset) for each in found] == [(b"a2", 1), (b"b1", 2)]
        assert shop.broker.outstanding == 0

    asyncio.run(scenario())


def test_compaction_takes_nothing_from_a_group_that_has_not_read_it(shop):
    async def scenario():
        stream = shop.place("stream", partitions=1, compaction=True)
        slow = await shop.subscribed(shop.plan(stream, "slow"))
        await shop.publish(stream, b"a1", b"a2", key="a")
        await shop.subscribed(shop.plan(stream, "new"))
        assert [each.body for each in await read(slow, 2)] == [b"a1", b"a2"]

    asyncio.run(scenario())


def test_an_offset_that_does_not_exist_is_no_place_to_start(shop):
    async def scenario():
        plan = shop.plan(shop.place("stream", partitions=1), start=StartAt(5))
        with pytest.raises(PositionLost):
            await (await shop.subscribed(plan)).receive()

    asyncio.run(scenario())


def test_a_slow_handler_holds_a_moving_partition_only_so_long(shop, monkeypatch):
    monkeypatch.setattr("busbridge.memory._group.DRAIN_SECONDS", 0.01)

    async def scenario():
        plan = shop.plan(shop.place("stream", partitions=2))
        first = await shop.subscribed(plan)
        await shop.publish(plan.destination, *[b"x"] * 2)
        held = await first.receive()
        second = await shop.subscribed(plan)
        (taken,) = await second.receive()
        stale = next(each for each in held if each.position == taken.position)
        assert not stale.session.alive

    asyncio.run(scenario())
