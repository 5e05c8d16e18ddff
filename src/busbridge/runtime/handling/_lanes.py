"""Long-lived tasks that take deliveries to handlers: no task and no thread hop per message.

Ordered: a key always has the same lane, so that its messages are handled one after another. Unordered: all lanes share
one line. What failed may wait, see `Waiting`. The transport
bounds what is handed over (prefetch), so the lines need no bound of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Final, NamedTuple, final

from busbridge.runtime.handling._waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.runtime.handling._pace import Pace
    from busbridge.transport import Delivery

    Handle = Callable[[Delivery], Awaitable[None]]
    Release = Callable[[Delivery], None]
    Wait = Callable[[Sequence[Delivery], float], None]
    """See `Lanes.wait`."""
    HandleMany = Callable[[Sequence[Delivery]], Awaitable[Sequence[Delivery]]]
    """Handles deliveries from the front, returns those that have not begun."""

_AGAIN: Final = 1.0
"""Seconds after which a handler that swallowed its cancellation is cancelled again."""


class Together(NamedTuple):
    """A way to handle deliveries several at a time: a lane takes what is there and never waits for more."""

    handle: HandleMany
    pace: Pace


def not_at_work(deliveries: Sequence[Delivery], seconds: float) -> None:
    """A `Wait` before there are lanes: nothing is handled then that could wait."""
    raise AssertionError(deliveries, seconds)


@final
class _Lane:
    """One task's place: it waits on `wakeup` while `line` is empty."""

    __slots__ = ("line", "wakeup")

    def __init__(self, line: deque[Delivery]) -> None:
        self.line = line
        self.wakeup: asyncio.Future[None] | None = None

    def wake(self) -> None:
        wakeup, self.wakeup = self.wakeup, None
        if wakeup is not None and not wakeup.done():
            wakeup.set_result(None)

    def without(self, key: str | bytes) -> list[Delivery]:
        """Takes out what is of `key`, in its order."""
        taken = [each for each in self.line if each.key == key]
        if taken:
            kept = [each for each in self.line if each.key != key]
            self.line.clear()
            self.line.extend(kept)
        return taken


@final
class Lanes:
    """`count` lanes that call `handle` for each delivery, or `release` where none may begin any more.

    `handle` settles or releases the delivery, also where it raises. That is a fault of the pipeline, not of a message,
    or ends the process: it ends that lane and is raised by `failed`.
    """

    def __init__(self, count: int, handle: Handle | Together, release: Release, *, ordered: bool) -> None:
        shared: deque[Delivery] = deque()
        self._lanes = [_Lane(deque() if ordered else shared) for _ in range(count)]
        self._idle: list[_Lane] = []
        self._turn = cycle(self._lanes)
        self._ordered = ordered
        self._release = release
        self._waiting = Waiting(self._let_go)
        self._open = 0
        self._empty = asyncio.Event()
        self._empty.set()
        if isinstance(handle, Together):
            self._tasks = [asyncio.create_task(self._run_together(lane, handle)) for lane in self._lanes]
        else:
            self._tasks = [asyncio.create_task(self._run(lane, handle)) for lane in self._lanes]

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Lines the deliveries up and wakes the lanes they go to."""
        self._open += len(deliveries)
        self._empty.clear()
        if not self._ordered:
            self._put_anywhere(deliveries)
        elif self._waiting.lines:
            self._put_by_key(self._waiting.pass_by(deliveries))
        else:
            self._put_by_key(deliveries)

    def _put_anywhere(self, deliveries: Sequence[Delivery]) -> None:
        self._lanes[0].line.extend(deliveries)
        for _ in range(min(len(deliveries), len(self._idle))):
            self._idle.pop().wake()

    def _put_by_key(self, deliveries: Sequence[Delivery]) -> None:
        lanes = self._lanes
        count = len(lanes)
        for delivery in deliveries:
            key = delivery.key
            lane = next(self._turn) if key is None else lanes[hash(key) % count]
            lane.line.append(delivery)
            if lane.wakeup is not None:
                lane.wake()

    def wait(self, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Lets the first wait for `seconds`, and then be handled again; the others are handled after it.

        All of them were being handled, which ends with this call. In an ordered subscription they are of one key; what
        comes later of that key waits behind them, while other keys go on, in its lane too. What waits is released when
        its session takes no more.
        """
        self._open += len(deliveries)
        first = deliveries[0]
        if self._ordered and first.key is not None:
            lane = self._lanes[hash(first.key) % len(self._lanes)]
            behind = lane.without(first.key)
            self._waiting.put(first.key, [*deliveries, *behind], seconds, partial(self._again, lane))
        else:
            lane = next(self._turn)
            self._waiting.put(object(), deliveries, seconds, partial(self._again, lane))

    def _again(self, lane: _Lane, deliveries: Sequence[Delivery]) -> None:
        self._put_back(lane, deliveries)
        if self._ordered:
            lane.wake()

    def _let_go(self, delivery: Delivery) -> None:
        self._release(delivery)
        self._finish(1)

    def hurry(self) -> None:
        """Releases what waits, now and from now on: its next attempt is somebody else's."""
        self._waiting.end()

    async def _run(self, lane: _Lane, handle: Handle) -> None:
        line = lane.line
        loop = asyncio.get_running_loop()
        while True:
            finished = 0
            try:
                while line:
                    delivery = line.popleft()
                    finished += 1  # also where `handle` raises
                    if delivery.session.taking:
                        await handle(delivery)
                    else:
                        self._release(delivery)
            finally:
                self._finish(finished)
            lane.wakeup = wakeup = loop.create_future()
            if not self._ordered:
                self._idle.append(lane)
            await wakeup

    async def _run_together(self, lane: _Lane, together: Together) -> None:
        line, (handle, pace) = lane.line, together
        loop = asyncio.get_running_loop()
        while True:
            while line:
                async with pace.turn():
                    if not line:  # others have taken what was there
                        break
                    taken = [line.popleft() for _ in range(pace.share(len(line)))]
                    rest: Sequence[Delivery] = ()
                    try:
                        rest = await handle(taken)
                    finally:
                        self._finish(len(taken) - len(rest))
                self._put_back(lane, rest)
            lane.wakeup = wakeup = loop.create_future()
            if not self._ordered:
                self._idle.append(lane)
            await wakeup

    def _put_back(self, lane: _Lane, rest: Sequence[Delivery]) -> None:
        """In their old place, for this lane or, where all share one line, for any that has nothing to do."""
        lane.line.extendleft(reversed(rest))
        for _ in range(min(len(rest), len(self._idle))):
            self._idle.pop().wake()

    def _finish(self, count: int) -> None:
        self._open -= count
        if not self._open:
            self._empty.set()

    async def failed(self) -> None:
        """Never returns; raises what broke a lane."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def drained(self) -> None:
        """Waits until every delivery put in has been handled or released. Nothing more is put in.

        What lanes that have died, or die meanwhile, have not begun is released.
        """
        for task in self._tasks:
            task.add_done_callback(self._give_back_unserved)
        self._give_back_unserved()
        await self._empty.wait()

    def _give_back_unserved(self, _died: object = None) -> None:
        """Releases what stands in lines without a lane that works."""
        served = {id(lane.line) for lane, task in zip(self._lanes, self._tasks, strict=True) if not task.done()}
        for lane in self._lanes:
            if id(lane.line) not in served:
                self._give_back(lane)

    def _give_back(self, lane: _Lane) -> None:
        while lane.line:
            self._release(lane.line.popleft())
            self._finish(1)

    def give_back(self) -> None:
        """Releases what has not begun."""
        for lane in self._lanes:
            self._give_back(lane)

    async def close(self) -> None:
        """Releases what has not begun, cancels what is being handled, and waits for it to end. Twice is fine."""
        self._waiting.end()
        self.give_back()
        running = {task for task in self._tasks if not task.done()}
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=_AGAIN)
        await asyncio.gather(*self._tasks, return_exceptions=True)  # `failed` raises them
