"""The deliveries of one subscription in this process, on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import ClosedError, SourceEnded
from busbridge_kafka._consumer import ConsumerThread
from busbridge_kafka._dead_letters import DeadLetters
from busbridge_kafka._delivery import KafkaDelivery

if TYPE_CHECKING:
    from busbridge.errors import BusbridgeError
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Headers
    from busbridge_kafka._consumer import Explain, Fetched, MakeConsumer
    from busbridge_kafka._producer import Publisher

_log: Final = logging.getLogger("busbridge.kafka")

FETCH: Final = 500
"""Messages taken from the client at a time, at most: larger pieces gain nothing, and the first handler waits longer."""
LAST_COMMIT: Final = 3.0
"""Seconds for dead letters and commits when a source is closed."""
LEAVING: Final = 7.0
"""Seconds for leaving the group."""


@final
class KafkaSource:
    """One member of a consumer group. What was fetched belongs to this object, not to the task that waits (T5)."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        prefetch: int,
        publisher: Publisher,
        make: MakeConsumer,
        explain: Explain,
        patience: float,
        *,
        origin: SubscriptionPlan | None = None,
        deliver: type[KafkaDelivery] = KafkaDelivery,
    ) -> None:
        """`origin`: whose dead letters and tiers these are, where it is not `plan`."""
        self._plan = plan
        self._prefetch = prefetch
        self._deliver = deliver
        origin = origin or plan
        self._dead_letters = DeadLetters(publisher, origin)
        self._tiers = [DeadLetters(publisher, origin, place) for place in origin.waiting]
        self._consumer = ConsumerThread(plan, make, explain, min(prefetch, FETCH), patience, self)
        self._buffer: deque[Fetched] = deque()
        self._again: deque[KafkaDelivery] = deque()
        self._out = 0
        self._waiter: asyncio.Future[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()
        self._failure: BusbridgeError | None = None
        self._draining = self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "failed" if self._failure else "draining" if self._draining else "open"
        return f"<KafkaSource {self._plan.group}, {state}, {self._out} unsettled>"

    @property
    def membership(self) -> bytes | None:
        """See `ConsumerThread.membership`."""
        return self._consumer.membership

    async def start(self) -> None:
        """Begins to take deliveries; on failure nothing is left running."""
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop(LEAVING)
            raise

    async def receive(self) -> list[KafkaDelivery]:
        """See `Source.receive`. Nothing is awaited between taking from the buffer and returning."""
        while True:
            self._check()
            if deliveries := self._take():
                return deliveries
            if not self._buffer:
                self._consumer.want()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def drain(self) -> None:
        """See `Source.drain`. What was fetched and not handed over is left to whoever has the partition next."""
        self._draining = True
        self._consumer.drain()
        self._buffer.clear()
        self._again.clear()
        self._wake()

    async def flush(self, seconds: float) -> bool:
        """See `Source.flush`."""
        try:
            async with asyncio.timeout(seconds):
                while self._burials:
                    await asyncio.wait(self._burials)
                while not self._consumer.commit_soon():  # noqa: ASYNC110  (an event would cost every commit a hop)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """See `Source.close`."""
        if self._closed:
            return
        self.drain()
        self._closed = True
        if not await self.flush(LAST_COMMIT):
            _log.warning("%r closes before all was committed: it will be delivered again", self)
        for burial in self._burials:
            burial.cancel()
        await self._consumer.stop(LEAVING)

    def arrived(self, fetched: Fetched) -> None:
        """The consumer's thread has fetched something."""
        if not self._draining:
            self._buffer.append(fetched)
            self._wake()

    def failed(self, error: BusbridgeError) -> None:
        """The consumer's thread can't go on."""
        self._failure = self._failure or error
        self._wake()

    def settled(self) -> None:
        """A delivery needs nothing more."""
        self._out -= 1
        if self._waiter is not None:
            self._wake()

    def again(self, delivery: KafkaDelivery) -> None:
        """A delivery is to be handed over once more."""
        self.released(delivery)
        if delivery.assignment.taking and not self._draining:
            self._again.append(delivery.next_attempt())
            self._wake()

    def released(self, delivery: KafkaDelivery) -> None:
        """Nobody holds a delivery any more, and it is not finished."""
        delivery.assignment.given_back += 1
        self._out -= 1
        self._wake()

    def bury(self, delivery: KafkaDelivery, record: Headers) -> None:
        """A delivery is to become a dead letter; until that is confirmed it counts as unsettled."""
        self._move(delivery, self._dead_letters, record)

    def put_off(self, delivery: KafkaDelivery, tier: int, added: Headers) -> None:
        """A delivery is to wait for its next attempt; until that is confirmed it counts as unsettled."""
        self._move(delivery, self._tiers[tier], added)

    def _move(self, delivery: KafkaDelivery, place: DeadLetters, added: Headers) -> None:
        burial = asyncio.get_running_loop().create_task(self._moved(delivery, place, added))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    async def _moved(self, delivery: KafkaDelivery, place: DeadLetters, added: Headers) -> None:
        await place.bury(delivery, added)
        delivery.assignment.finish(delivery.offset)
        self.settled()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"the source of {self._plan.group}")
        if self._draining:
            raise SourceEnded(f"the source of {self._plan.group} has ended")
        if self._failure is not None:
            raise self._failure

    def _take(self) -> list[KafkaDelivery]:
        deliveries: list[KafkaDelivery] = []
        while self._again and self._out + len(deliveries) < self._prefetch:
            self._take_again(self._again.popleft(), deliveries)
        while self._buffer and (room := self._prefetch - self._out - len(deliveries)) > 0:
            self._take_new(self._buffer[0], room, deliveries)
            if self._buffer[0].begun == len(self._buffer[0].messages):
                self._buffer.popleft()
        self._out += len(deliveries)
        return deliveries

    def _take_again(self, delivery: KafkaDelivery, deliveries: list[KafkaDelivery]) -> None:
        if delivery.assignment.taking:
            delivery.assignment.given_back -= 1
            deliveries.append(delivery)

    def _take_new(self, fetched: Fetched, room: int, deliveries: list[KafkaDelivery]) -> None:
        end = fetched.begun + room
        assignments = fetched.assignments
        for message in fetched.messages[fetched.begun : end]:
            assignment = assignments.get(message.partition() or 0)
            if assignment is not None and assignment.taking:
                offset: int = message.offset()  # type: ignore[assignment]  # a fetched message has one
                assignment.begin(offset)
                deliveries.append(self._deliver(self, assignment, offset, message))
        fetched.begun = min(end, len(fetched.messages))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
