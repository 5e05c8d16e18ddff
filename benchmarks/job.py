"""One side's part of one round: what to do, and the clock that measures it."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.orders import orders
from benchmarks.process import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.orders import OrderPlaced


@dataclass
class Meter:
    """Wall clock and CPU time of this process, with all its threads, over `count` messages."""

    count: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def start(self) -> None:
        """What is there from the start is kept from the garbage collector, as `busbridge run` does; on every side."""
        gc.collect()
        gc.freeze()
        self._begun, self._cpu = time.perf_counter(), cpu_seconds()

    def stop(self) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self._begun, cpu_seconds() - self._cpu


@dataclass
class Job:
    """`warm_up` messages that are not measured come before the `count` that are."""

    url: str
    place: str
    """The queue or Kafka topic, which exists."""
    count: int
    warm_up: int
    rate: int = 0
    """Messages per second, where the work is paced."""
    database: str = ""
    """The URL, where effects happen in one."""
    meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self.meter = Meter(self.count)

    @property
    def total(self) -> int:
        return self.warm_up + self.count

    @property
    def servers(self) -> str:
        """The broker's host and port, as Kafka's clients want it."""
        return self.url.partition("://")[2]

    def tally(self) -> Tally:
        """What the handlers of a consuming side count with."""
        return Tally(self)


class Tally:
    """Handled messages. The clock runs from the last message of the warm-up to the last one of all."""

    def __init__(self, job: Job) -> None:
        self.handled = 0
        self.finished = asyncio.Event()
        self.latencies: list[int] | None = [] if job.rate else None
        """Nanoseconds from publishing to handling, where that is the work."""
        self._meter = job.meter
        self._begin, self._end = job.warm_up, job.total

    async def handle(self, order: OrderPlaced) -> None:
        """The handler, the same on every side."""
        self.handled += 1
        if self.latencies is not None and self.handled > self._begin:
            self.latencies.append(time.monotonic_ns() - order.placed_ns)
        if self.handled == self._begin:
            self._meter.start()
        elif self.handled == self._end:
            self._meter.stop()
            self.finished.set()
        if self.handled == 1:
            print("ready", flush=True)


async def paced(job: Job) -> AsyncIterator[OrderPlaced]:
    """Orders at the rate of the job, each built when it is due; those that are late come at once."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number, order in enumerate(orders(job.total)):
        if number == job.warm_up:
            job.meter.start()
        yield order
        due = begin + (number + 1) / job.rate
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
    job.meter.stop()
