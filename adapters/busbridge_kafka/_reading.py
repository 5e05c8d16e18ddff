"""The thread that reads a Kafka topic for one reader, outside of any group: partitions are assigned, nothing committed.

As the consumer of a subscription it fetches when the loop asks; while the loop has enough it sleeps, and if that takes
longer, pauses the partitions and polls for the client's callbacks alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast, final

from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import BusbridgeError, TopologyMismatch, TransportError, Unavailable
from busbridge.transport import Kept, Part, Position
from busbridge_kafka import _offsets as offsets
from busbridge_kafka._log import ClientLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Consumer, Message

    from busbridge.transport import Headers
    from busbridge_kafka._consumer import Explain
    from busbridge_kafka._span import Span

    Record = Message[bytes, bytes]
    MakeReader = Callable[[Callable[[KafkaError], None], Callable[[], None]], Consumer]
    """Makes a consumer that reports its errors, and that it is stranded, in this order."""
    Resolve = Callable[[Consumer], list[Span]]
    """Asks the broker where reading begins and ends."""

_log: Final = logging.getLogger("busbridge.kafka")

FETCH: Final = 500
"""Messages taken from the client at a time, at most."""
LONGEST_WAIT: Final = 0.1
"""Seconds in one call of the client, and so until a stop is noticed."""
RESTING: Final = 0.5
"""Seconds without demand before the partitions are paused and the client is polled for its callbacks alone."""
PAUSE: Final = (0.2, 0.6)
"""Seconds between two attempts to begin, jittered."""

LOOKING: Final = 3.0
"""Seconds without a message before it is looked whether there still is a Kafka topic."""

_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001  (the client's local codes begin with an underscore)
_POSITION_GONE: Final = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001


class Reader(Protocol):
    """Whom the thread tells, on the event loop."""

    def begun(self, left: int | None) -> None: ...
    def arrived(self, messages: list[Kept], left: int | None) -> None: ...
    def failed(self, error: BusbridgeError) -> None: ...
    def ended(self, left: int | None) -> None: ...


@final
class ReadingThread:
    """One reader's consumer and its thread, and where that consumer is stranded, another in its place.

    It ends by itself when everything is read, or nothing can be read any more. Methods are called from outside, those
    with an underscore run in the thread.
    """

    def __init__(
        self, name: str, make: MakeReader, resolve: Resolve, explain: Explain, patience: float, reader: Reader
    ) -> None:
        self._name = name
        self._make = make
        self._resolve = resolve
        self._explain = explain
        self._patience = patience
        self._reader = reader
        self._errors = ClientLog()
        self._loop = asyncio.get_running_loop()
        self._stir = threading.Event()
        self._spans: dict[int, Span] = {}
        self.parts: Mapping[int, Part] = {}
        """What is read, once it is known; never changed after that."""
        self._begun = self._hungry = self._paused = self._stopping = self._stranded = False
        self._failure: BusbridgeError | None = None
        self._seen()
        self._thread = threading.Thread(target=self._run, name=f"busbridge-kafka-read-{name}", daemon=True)
        self._thread.start()

    def want(self) -> None:
        """The loop has nothing left to hand over."""
        if not self._hungry:
            self._hungry = True
            self._stir.set()

    def stop(self) -> None:
        """Nothing more is wanted."""
        self._stopping = True
        self._stir.set()

    def join(self) -> None:
        """Waits for the last steps of a thread that has told that it ended."""
        self._thread.join()

    @property
    def _over(self) -> bool:
        done = self._begun and not any(each.end is None or each.left for each in self._spans.values())
        return done or self._stopping or self._failure is not None

    def _run(self) -> None:
        deadline = time.monotonic() + self._patience
        try:
            while not self._over:
                if self._stranded:
                    _log.warning("who reads %s reaches no broker any more: another takes its place", self._name)
                self._stranded = self._paused = False
                self._consume(math.inf if self._begun else deadline)
        except Exception as error:  # noqa: BLE001  (whatever it is, the task that waits for messages must hear of it)
            self._fail(error)
        if self._failure is not None:
            self._tell(partial(self._reader.failed, self._failure))
        self._tell(partial(self._reader.ended, self._left))

    def _consume(self, deadline: float) -> None:
        """The life of one consumer, until it is stranded or reading is over."""
        consumer = self._make(self._error, self._strand)
        try:
            if self._begin(consumer, deadline):
                consumer.assign([each.here for each in self._open()])
            while not self._over and not self._stranded:
                self._turn(consumer)
        finally:
            if self._stranded:  # it may wait for a broker as long as there is none
                threading.Thread(target=consumer.close, name="busbridge-kafka-stranded", daemon=True).start()
            else:
                consumer.close()

    def _strand(self) -> None:
        """The consumer comes to nothing any more: another is to take its place."""
        self._stranded = True

    def _begin(self, consumer: Consumer, deadline: float) -> bool:
        """True once it is known what to read; False where reading is over or must be begun anew."""
        while not self._begun and not self._over and not self._stranded:
            try:
                self._spans = {each.partition: each for each in self._resolve(consumer)}
                self.parts = {index: Part(span.next, span.end) for index, span in self._spans.items()}
            except KafkaException as error:
                if self._explain(error.args[0]) is not None:
                    raise
                if time.monotonic() > deadline:
                    raise Unavailable(f"Kafka topic {self._name!r}", self._patience, error.args[0].str()) from error
                _log.warning("who reads %s waits for its broker: %s", self._name, error.args[0].str())
                self._stir.wait(random.uniform(*PAUSE))  # noqa: S311  (jitter, no secret)
                consumer.consume(1, 0)  # serves its callbacks: there is nothing to consume yet
            else:
                self._begun = True
                self._tell(partial(self._reader.begun, self._left))
        return self._begun

    def _turn(self, consumer: Consumer) -> None:
        if self._hungry:
            self._resume(consumer)
            first = consumer.consume(1, LONGEST_WAIT)
            self._hand_over(consumer, first + consumer.consume(FETCH - 1, 0) if first else [])
            self._look_for(consumer)
        elif not self._stir.wait(RESTING):
            self._pause(consumer)
            self._hand_over(consumer, consumer.consume(1, 0))
            self._seen()
        self._stir.clear()

    def _hand_over(self, consumer: Consumer, messages: list[Record]) -> None:
        kept = [_kept(each) for each in messages if self._takes(consumer, each)]
        if kept:
            self._hungry = False  # before it is told: the answer may be there at once
            self._seen()
            self._tell(partial(self._reader.arrived, kept, self._left))

    def _takes(self, consumer: Consumer, message: Record) -> bool:
        """True for a message that is to be handed over."""
        span, error = self._spans.get(cast("int", message.partition())), message.error()
        taken = span is not None and error is None and span.take(cast("int", message.offset()))
        if error is not None:
            self._told(consumer, span, error, message.offset() or 0)
        if span is not None and span.left == 0:
            consumer.pause([span.here])  # nothing behind the end is fetched
        return taken

    def _told(self, consumer: Consumer, span: Span | None, error: KafkaError, offset: int) -> None:
        """What the client reports among its messages, of a partition or in general."""
        if span is None:
            self._error(error)
        elif error.code() == _END:
            span.reach(offset)
        elif error.code() == _POSITION_GONE:
            self._fail(offsets.lost(consumer, None, span.here))
        else:
            self._error(error)

    def _seen(self) -> None:
        """There is no reason to doubt that there is a Kafka topic."""
        self._seen_at = time.monotonic()
        self._look_at = self._seen_at + LOOKING

    def _look_for(self, consumer: Consumer) -> None:
        """The client may wait for ever for a Kafka topic that was deleted: it is gone if it can't be found for long.

        For long, since a broker that has just come back may not know it yet.
        """
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOKING
        try:
            offsets.partitions(consumer, self._name, LOOKING)
            self._seen()
        except TopologyMismatch as error:
            if now - self._seen_at > self._patience:
                self._fail(error)
        except KafkaException as error:
            self._error(error.args[0])

    def _error(self, error: KafkaError) -> None:
        """The client's callback, and its errors among the messages: most pass by themselves."""
        if (ours := self._explain(error)) is not None:
            self._fail(ours)
        else:
            self._errors.error(f"who reads {self._name}", error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or self._ours(error)

    def _ours(self, error: Exception) -> BusbridgeError:
        if isinstance(error, BusbridgeError):
            return error
        known = self._explain(error.args[0]) if isinstance(error, KafkaException) else None
        ours = known or TransportError(f"reading {self._name} failed: {error}")
        ours.__cause__ = error
        return ours

    def _open(self) -> list[Span]:
        return [each for each in self._spans.values() if each.left != 0]

    @property
    def _left(self) -> int | None:
        counts = [each.left for each in self._spans.values()]
        return None if None in counts or not self._begun else sum(cast("list[int]", counts))

    def _pause(self, consumer: Consumer) -> None:
        if not self._paused and self._begun:
            self._paused = True
            consumer.pause([each.here for each in self._open()])

    def _resume(self, consumer: Consumer) -> None:
        if self._paused:
            self._paused = False
            consumer.resume([each.here for each in self._open()])

    def _tell(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop was closed without closing the transport: nobody is left to tell
            self._stopping = True


def _kept(message: Record) -> Kept:
    where = Position(cast("int", message.partition()), cast("int", message.offset()))
    headers = cast("Headers", message.headers() or ())
    return Kept(message.value(), headers, message.key(), where, max(message.timestamp()[1], 0) / 1000)
