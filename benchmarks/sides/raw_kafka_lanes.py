"""confluent-kafka by hand as in `raw_kafka`, with the two things that no consumer of this library can do without.

A thread owns the consumer, so that a rebalance may wait for the handlers while the event loop goes on; and each message
goes to the lane of its key, so that keys are handled side by side and each of them in order. Nothing else: no contract
is looked up by more than its type, no delivery is settled by itself, no partition is drained, no error has a place to
go. What this costs beside `raw` is the price of the promises by themselves; what busbridge costs beside this is ours.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer

from benchmarks.sides.raw_kafka import COMMIT_SECONDS, FETCH, handle, settings

if TYPE_CHECKING:
    from confluent_kafka import Message

    from benchmarks.job import Job, Tally

LANES: Final = 16


class _Thread:
    """Fetches when it is asked, as a consumer must that is never to be ahead of its handlers by more than a piece."""

    def __init__(self, job: Job) -> None:
        self._consumer = Consumer(settings(job))
        self._consumer.subscribe([job.place])
        self._loop = asyncio.get_running_loop()
        self._asked = threading.Event()
        self._answer: asyncio.Future[list[Message]] = self._loop.create_future()
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    async def fetch(self) -> list[Message]:
        self._answer = self._loop.create_future()
        self._asked.set()
        return await self._answer

    async def close(self) -> None:
        self._ending = True
        self._asked.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        committed = time.monotonic()
        while self._asked.wait() and not self._ending:
            self._asked.clear()
            self._loop.call_soon_threadsafe(self._answer.set_result, self._piece())
            if time.monotonic() - committed > COMMIT_SECONDS:
                self._consumer.commit(asynchronous=True)
                committed = time.monotonic()
        self._consumer.commit(asynchronous=False)
        self._consumer.close()

    def _piece(self) -> list[Message]:
        while not self._ending:
            if first := self._consumer.consume(1, 0.1):
                return first + self._consumer.consume(FETCH - 1, 0)
        return []


class _Lanes:
    """Where messages wait for their turn, those of a key behind each other."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lines: list[deque[Message]] = [deque() for _ in range(LANES)]
        self._wakeups: list[asyncio.Future[None] | None] = [None] * LANES
        self._left = 0
        self._empty = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(LANES)]

    async def handled(self, messages: list[Message]) -> None:
        """Returns when all of them are."""
        self._left = len(messages)
        self._empty.clear()
        for message in messages:
            number = hash(message.key()) % LANES
            self._lines[number].append(message)
            wakeup = self._wakeups[number]
            if wakeup is not None and not wakeup.done():
                wakeup.set_result(None)
        await self._empty.wait()

    async def _run(self, number: int) -> None:
        line, loop = self._lines[number], asyncio.get_running_loop()
        while True:
            while line:
                await handle(line.popleft(), self._tally)
                self._left -= 1
            if not self._left:
                self._empty.set()
            self._wakeups[number] = wakeup = loop.create_future()
            await wakeup

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


async def consume(job: Job, tally: Tally) -> None:
    thread, lanes = _Thread(job), _Lanes(tally)
    while not tally.finished.is_set():
        await lanes.handled(await thread.fetch())
    lanes.close()
    await thread.close()
