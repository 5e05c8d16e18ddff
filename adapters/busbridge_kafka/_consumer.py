"""The thread that owns a consumer: every call is made here, so that a rebalance waits without stopping the loop (T10).

It fetches when the loop asks, and hands over what came in one piece: `consume(1, t)` returns with the first message,
`consume(n, 0)` takes what is there besides (T11). While the loop has enough it sleeps; if that takes longer, it pauses
the partitions and polls, so that a slow handler never costs the membership. It never fetches ahead: two threads that
both have work fight for the interpreter lock. Measured so, a message costs no more processor time than consumed on the
loop itself, which a rebalance forbids.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol, final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from busbridge.errors import BusbridgeError, TransportError
from busbridge_kafka import _offsets as offsets
from busbridge_kafka import _start as start
from busbridge_kafka._commits import Commits
from busbridge_kafka._log import ClientLog
from busbridge_kafka._rebalance import Partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Consumer, Message

    from busbridge.routing import SubscriptionPlan
    from busbridge_kafka._partition import Assignment

    Record = Message[bytes, bytes]
    Explain = Callable[[KafkaError], BusbridgeError | None]
    """What an error means that does not pass by itself; None for one that does."""
    MakeConsumer = Callable[[Callable[[KafkaError], None], Callable[..., None], Callable[[], None]], Consumer]
    """Makes a consumer that reports its errors, the answers to its commits and that it is stranded, in this order."""

_log: Final = logging.getLogger("busbridge.kafka")

LONGEST_WAIT: Final = 0.1
"""Seconds in one call of the client, and so until a commit or a stop is noticed."""
RESTING: Final = 0.5
"""Seconds without demand before the partitions are paused and the client is polled for its callbacks alone."""
PAUSE: Final = (0.2, 0.6)
"""Seconds between two attempts to begin, jittered."""
SERVING: Final = 0.01
"""Seconds in one call of the client while its callbacks are waited for."""
LEAVING: Final = 5.0
"""Seconds for the last commit and for giving up the partitions. A join is answered at the others' next heartbeat."""


class Listener(Protocol):
    """Whom the thread tells, on the event loop."""

    def arrived(self, fetched: Fetched) -> None: ...
    def failed(self, error: BusbridgeError) -> None: ...


@final
class Fetched:
    """Messages in order, with the assignments they came under; `begun` of them are handed over."""

    __slots__ = ("assignments", "begun", "messages")

    def __init__(self, messages: list[Record], assignments: Mapping[int, Assignment]) -> None:
        self.messages = messages
        self.assignments = assignments
        self.begun = 0


@final
class ConsumerThread:
    """One member of a group and its thread: a consumer, and where that is stranded, another in its place.

    Methods are called on the loop, those with an underscore run in the thread.
    """

    def __init__(
        self,
        plan: SubscriptionPlan,
        make: MakeConsumer,
        explain: Explain,
        limit: int,
        patience: float,
        listener: Listener,
    ) -> None:
        self._plan = plan
        self._explain = explain
        self._limit = limit
        self._patience = patience
        self._listener = listener
        self._make = make
        self._begin_anew()
        self._errors = ClientLog()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._stir = threading.Event()
        self.membership: bytes | None = None
        """What the group knew this process by a moment ago, for transactions alone; None while it was no member."""
        self._hungry = self._quiet = self._stopping = self._hurry = self._stranded = False
        self._thread = threading.Thread(target=self._run, name=f"busbridge-kafka-{plan.group}", daemon=True)

    async def start(self) -> None:
        """Returns once the group has its starting positions and this process is about to join it."""
        self._thread.start()
        await self._ready

    def want(self) -> None:
        """The loop has nothing left to hand over."""
        if not self._hungry:
            self._hungry = True
            self._stir.set()

    def drain(self) -> None:
        """Nothing more is fetched."""
        self._quiet = True
        self._stir.set()

    def commit_soon(self) -> bool:
        """Asks for a commit of all that is finished; True if the broker has it already."""
        if all(each.committed >= each.watermark for each in self._partitions.table.values()):
            return True
        self._hurry = True
        self._stir.set()
        return False

    async def stop(self, seconds: float) -> None:
        """Leaves the group and ends the thread; waits for that up to `seconds`."""
        self._stopping = self._quiet = self._partitions.leaving = True
        self._stir.set()
        if not self._thread.ident:
            return
        done, _ = await asyncio.wait([self._ended], timeout=seconds)
        if done:
            self._thread.join()
        else:
            _log.warning("the consumer of %s is still leaving after %g s", self._plan.group, seconds)

    def _run(self) -> None:
        try:
            deadline = time.monotonic() + self._patience
            self._consume(deadline)
            while not self._stopping:
                _log.warning("the consumer of %s reaches no broker any more: another takes its place", self._plan.group)
                self._begin_anew()
                self._consume(math.inf if self._ready.done() else deadline)
        except Exception as error:  # noqa: BLE001  (whatever it is, the task that waits for deliveries must hear of it)
            self._raised(error)
        finally:
            self._tell(_resolve, self._ended, None)

    def _begin_anew(self) -> None:
        """Nothing that an earlier consumer still says concerns what a new one does."""
        self._stranded = False
        self._commits = Commits(self._plan.destination.physical, self._plan.group)
        self._partitions = Partitions(self._plan, self._commits, self._raised, self._strand, self._learn)

    def _strand(self) -> None:
        """The consumer comes to nothing any more: another is to take its place."""
        self._stranded = True

    def _consume(self, deadline: float) -> None:
        """The life of one consumer, until it is stranded or this process leaves."""
        consumer = self._make(self._error, self._commits.answered, self._strand)
        try:
            if self._begin(consumer, deadline):
                self._join(consumer)
                while not self._stopping and not self._stranded:
                    self._turn(consumer)
                if not self._stranded:
                    self._finish(consumer)
        finally:
            self._partitions.end()
            self.membership = None
            self._close(consumer)

    def _close(self, consumer: Consumer) -> None:
        if self._stranded:  # what it still had to say to its broker must time out first
            threading.Thread(target=consumer.close, name="busbridge-kafka-stranded", daemon=True).start()
        else:
            consumer.close()

    def _begin(self, consumer: Consumer, deadline: float) -> bool:
        """True once the group has its starting positions; False where this process leaves or must try anew."""
        while not self._stopping and not self._stranded:
            try:
                start.begin(consumer, self._plan)
            except KafkaException as error:
                if self._explain(error.args[0]) is not None or time.monotonic() > deadline:
                    raise
                _log.warning("%s waits for its broker: %s", self._plan.group, error.args[0].str())
                self._stir.wait(random.uniform(*PAUSE))  # noqa: S311  (jitter, no secret)
                consumer.consume(1, 0)  # serves its callbacks: there is nothing to consume yet
            else:
                return True
        return False

    def _join(self, consumer: Consumer) -> None:
        consumer.subscribe(
            [self._plan.destination.physical],
            on_assign=self._partitions.assigned,
            on_revoke=self._partitions.revoked,
            on_lost=self._partitions.lost,
        )
        self._tell(_resolve, self._ready, None)

    def _turn(self, consumer: Consumer) -> None:
        if self._hungry and not self._quiet:
            self._partitions.resume(consumer)
            self._fetch(consumer)
        elif not self._stir.wait(RESTING) or self._quiet or self._hurry:
            self._partitions.pause(consumer)
            self._hand_over(consumer, consumer.consume(1, 0))
        self._stir.clear()
        self._partitions.rest(consumer)
        self._learn(consumer)
        hurry, self._hurry = self._hurry, False
        self._commits.send(consumer, self._partitions.table.values(), now=hurry)

    def _learn(self, consumer: Consumer) -> None:
        """Asks the client for its membership, which it does not tell another thread while this one waits in it.

        A member without a name is none: its transactions would be taken at any time, as those of old clients are.
        """
        if self._plan.exactly_once:
            membership: bytes = consumer.consumer_group_metadata()
            self.membership = membership if consumer.memberid() else None

    def _fetch(self, consumer: Consumer) -> None:
        first = consumer.consume(1, LONGEST_WAIT)
        if not first:
            return
        under = self._partitions.table
        more = consumer.consume(self._limit - 1, 0) if self._limit > 1 else []
        self._hungry = False
        if self._partitions.table is under:
            self._hand_over(consumer, first + more)
        else:  # partitions came or went between the two calls
            self._tell(self._listener.arrived, Fetched(self._sound(consumer, first), under))
            self._hand_over(consumer, more)

    def _hand_over(self, consumer: Consumer, messages: list[Record]) -> None:
        if messages:
            self._tell(self._listener.arrived, Fetched(self._sound(consumer, messages), self._partitions.table))

    def _sound(self, consumer: Consumer, messages: list[Record]) -> list[Record]:
        return [each for each in messages if each.error() is None or self._faulty(consumer, each)]

    def _faulty(self, consumer: Consumer, message: Record) -> bool:
        """What the client reports among the messages. Never a message."""
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            where = TopicPartition(self._plan.destination.physical, message.partition() or 0, message.offset() or 0)
            self._raised(offsets.lost(consumer, self._plan.group, where))
        else:
            self._error(error)
        return False

    def _error(self, error: KafkaError) -> None:
        """The client's callback, and its errors among the messages: most pass by themselves."""
        if (ours := self._explain(error)) is not None:
            self._raised(ours)
        else:
            self._errors.error(f"consumer of {self._plan.group}", error)

    def _finish(self, consumer: Consumer) -> None:
        """The last commit, and out of the group.

        Unsubscribed before it is closed: librdkafka's close alone never tells the group of a member that has no
        partition, and the others would wait for it until its session times out. Nor does it tell of one that is still
        joining: that is waited for.
        """
        deadline = time.monotonic() + LEAVING
        self._partitions.pause(consumer)
        while not self._partitions.joined and not self._stranded and time.monotonic() < deadline:
            consumer.consume(1, SERVING)
        while not self.commit_soon() and not self._stranded and time.monotonic() < deadline:
            self._commits.send(consumer, self._partitions.table.values(), now=True)
            consumer.consume(1, SERVING)  # paused: serves the answer to the commit
        consumer.unsubscribe()
        while consumer.assignment() and not self._stranded and time.monotonic() < deadline:
            consumer.consume(1, SERVING)

    def _raised(self, error: Exception) -> None:
        """The subscription can't go on by itself. What has begun may still be settled, and is committed."""
        self._quiet = True
        ours = self._ours(error)
        self._tell(_reject, self._ready, ours)
        self._tell(self._listener.failed, ours)

    def _ours(self, error: Exception) -> BusbridgeError:
        if isinstance(error, BusbridgeError):
            return error
        known = self._explain(error.args[0]) if isinstance(error, KafkaException) else None
        ours = known or TransportError(f"the consumer of {self._plan.group} failed: {error}")
        ours.__cause__ = error
        return ours

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop was closed without closing the transport: nobody is left to tell
            self._stopping = True


def _resolve(future: asyncio.Future[None], value: None) -> None:
    if not future.done():
        future.set_result(value)


def _reject(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # retrieved: who waits raises it, and after the start nobody waits
