"""Ordered queues: shards shared out between workers, and handed over so that no key is overtaken (T8, T9)."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from busbridge.errors import ClosedError, SourceEnded
from busbridge.transport import CONFIRMED
from integration.rabbitmq.bench import SECONDS, entry, leave, take

FAST = {"rebalance_interval": 0.2}
KEYS = [f"k{number}" for number in range(16)]


class Workers:
    """Members of one subscription, each with a transport of its own, and what they handled, by key."""

    def __init__(self, bench, shards=4, handling=0.002):
        self.bench = bench
        self.queue = bench.queue(ordered=True, partitions=shards)
        self.plan = bench.plan(self.queue, prefetch=20, ordered=True)
        self.seen = defaultdict(list)
        self.by = Counter()
        self.attempts = 0
        self._handling = handling
        self._running = set()

    def transport(self):
        return self.bench.transport(self.queue, self.plan, client=FAST)

    async def publish(self, transport, count, start=0):
        for first in range(start, start + count, 10):
            batch = [entry(self.queue, number, KEYS[number % 16]) for number in range(first, first + 10)]
            assert await transport.publish(batch, SECONDS) == [CONFIRMED] * 10

    async def work(self, name, ready, stop):
        """One member: a lane per key, until told to stop; then it finishes what it holds and leaves."""
        async with self.transport() as transport, asyncio.TaskGroup() as lanes:
            source = await transport.subscribe(self.plan)
            ready.set()
            stopping = asyncio.create_task(stop.wait())
            stopping.add_done_callback(lambda _: source.drain())
            queues = {key: asyncio.Queue() for key in KEYS}
            tasks = [lanes.create_task(self._lane(name, each)) for each in queues.values()]
            try:
                while True:
                    for delivery in await source.receive():
                        queues[delivery.key].put_nowait(delivery)
            except (SourceEnded, ClosedError):
                pass
            finally:
                stopping.cancel()
            await asyncio.gather(*(each.join() for each in queues.values()))
            for task in tasks:
                task.cancel()
            assert await source.flush(SECONDS)
            await source.close()

    async def _lane(self, name, queue):
        while True:
            delivery = await queue.get()
            if delivery.session.alive:
                await self._handle(name, delivery)
            else:
                delivery.release()
            queue.task_done()

    async def _handle(self, name, delivery):
        assert delivery.key not in self._running, "a key is with two members at once"
        self._running.add(delivery.key)
        await asyncio.sleep(self._handling)
        self._running.discard(delivery.key)
        self.attempts += 1
        self.by[name] += 1
        self.seen[delivery.key].append(int(delivery.body))
        if delivery.session.alive:
            delivery.accept()
        else:
            delivery.release()

    async def until(self, count):
        async with asyncio.timeout(SECONDS * 2):
            while sum(len(set(each)) for each in self.seen.values()) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def assert_in_order(self):
        for key, numbers in self.seen.items():
            first = list(dict.fromkeys(numbers))
            assert first == sorted(first), f"{key} was overtaken"


class Member:
    def __init__(self, group, workers, name):
        self._ready, self._stop = asyncio.Event(), asyncio.Event()
        self._task = group.create_task(workers.work(name, self._ready, self._stop))

    async def ready(self):
        await asyncio.wait([self._task, asyncio.ensure_future(self._ready.wait())], return_when="FIRST_COMPLETED")
        return self

    async def leave(self):
        self._stop.set()
        await self._task


def test_two_workers_share_the_shards(any_bench):
    """T9: single active consumers alone would give everything to the first."""
    workers = Workers(any_bench)

    async def live():
        async with workers.transport() as publisher, asyncio.TaskGroup() as group:
            members = [await Member(group, workers, name).ready() for name in "ab"]
            published = 0
            async with asyncio.timeout(SECONDS):
                while min(workers.by["a"], workers.by["b"]) < 50:
                    await workers.publish(publisher, 50, published)
                    published += 50
                    await workers.until(published)
            for member in members:
                await member.leave()

    asyncio.run(live())
    workers.assert_in_order()


def test_a_worker_that_lost_a_shard_holds_all_of_them_again(any_bench):
    """Somebody deletes the queue of one: that closes a channel, and the connection lives on."""
    workers = Workers(any_bench)

    async def live():
        async with workers.transport() as publisher, asyncio.TaskGroup() as group:
            member = await Member(group, workers, "a").ready()
            await workers.publish(publisher, 100)
            await workers.until(100)
            shards = [f"{workers.queue.physical}.{number}" for number in range(4)]
            await asyncio.to_thread(any_bench.delete, shards[2])
            async with asyncio.timeout(SECONDS):
                while await asyncio.to_thread(any_bench.consumers, *shards) != [1] * 4:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert await asyncio.to_thread(any_bench.consumers, f"{workers.queue.physical}.members") == [1]
            await workers.publish(publisher, 100, 100)
            await workers.until(200)
            await member.leave()

    asyncio.run(live())
    workers.assert_in_order()


def test_a_shard_is_handed_over_when_all_that_was_held_is_finished(bench):
    """Slow handlers, a clean join: no key with two members at once, no message handled twice."""
    workers = Workers(bench, handling=0.1)

    async def live():
        async with workers.transport() as publisher, asyncio.TaskGroup() as group:
            first = await Member(group, workers, "a").ready()
            publishing = asyncio.create_task(workers.publish(publisher, 300))
            await workers.until(20)
            second = await Member(group, workers, "b").ready()
            await publishing
            await workers.until(300)
            await first.leave()
            await second.leave()

    asyncio.run(live())
    workers.assert_in_order()
    assert workers.by["b"] > 0
    assert workers.attempts == 300


def test_a_rolling_restart_keeps_the_order_and_repeats_nothing(any_bench):
    workers = Workers(any_bench)

    async def live():
        async with workers.transport() as publisher, asyncio.TaskGroup() as group:
            old = [await Member(group, workers, name).ready() for name in "ab"]
            publishing = asyncio.create_task(workers.publish(publisher, 800))
            new = []
            for member, name in zip(old, "cd", strict=True):
                await workers.until(100 * (len(new) + 1))
                new.append(await Member(group, workers, name).ready())
                await member.leave()
            await publishing
            await workers.until(800)
            for member in new:
                await member.leave()

    asyncio.run(live())
    workers.assert_in_order()
    assert workers.attempts == 800


def test_one_key_has_one_shard_and_messages_without_one_take_turns(bench):
    queue = bench.queue(ordered=True, partitions=4)

    async def publish():
        async with bench.transport(queue) as transport:
            keyed = [entry(queue, number, "k") for number in range(8)]
            free = [entry(queue, number) for number in range(8)]
            assert await transport.publish(keyed + free, SECONDS) == [CONFIRMED] * 16

    asyncio.run(publish())
    assert sorted(bench.count(f"{queue.physical}.{number}") for number in range(4)) == [2, 2, 2, 10]


def test_three_workers_on_four_shards_all_work(bench):
    workers = Workers(bench)

    async def live():
        async with workers.transport() as publisher, asyncio.TaskGroup() as group:
            members = [await Member(group, workers, name).ready() for name in "abc"]
            published = 0
            async with asyncio.timeout(SECONDS):
                while len(+workers.by) < 3:
                    await workers.publish(publisher, 50, published)
                    published += 50
                    await workers.until(published)
            for member in members:
                await member.leave()

    asyncio.run(live())
    workers.assert_in_order()


def test_a_successor_begins_with_what_a_stop_cut_off(any_bench):
    """One handler outlasts the grace while the others go on: the next worker gets its message before all later ones."""
    queue = any_bench.queue(ordered=True, partitions=1)
    plan = any_bench.plan(queue, prefetch=50, ordered=True)

    async def live():
        async with (
            any_bench.transport(queue, plan, client=FAST) as one,
            any_bench.transport(queue, plan, client=FAST) as other,
        ):
            publishing = asyncio.create_task(one.publish([entry(queue, each, "k") for each in range(500)], SECONDS))
            source = await one.subscribe(plan)
            first, *others = await take(source, 50)
            for delivery in others:
                delivery.accept()
            successor = await other.subscribe(plan)
            source.drain()
            await publishing
            first.release()
            assert await source.flush(SECONDS)
            await source.close()
            finished = {int(delivery.body) for delivery in others}
            return await accepted(successor, 500 - len(finished)), finished

    async def accepted(source, count):
        bodies = []
        while len(bodies) < count:
            for delivery in await take(source, 1):
                bodies.append(int(delivery.body))
                delivery.accept()
        await leave(source)
        return bodies

    second, finished = asyncio.run(live())
    assert second == [number for number in range(500) if number not in finished]
