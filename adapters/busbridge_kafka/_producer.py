"""The way to Kafka: an idempotent producer whose every delivery report is checked.

Reports are served by the event loop itself, with `poll(0)` on a short timer while anything is in flight: no thread
takes the interpreter lock from the handlers, and an idle producer is looked at once a second.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, cast, final

from confluent_kafka import KafkaException, Producer

from busbridge.errors import ClosedError
from busbridge_kafka import _errors as errors
from busbridge_kafka._batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.transport import Outcome
    from busbridge_kafka._batch import Sendable

    KafkaHeaders = list[tuple[str, str | bytes | None]]

_log: Final = logging.getLogger("busbridge.kafka")

BUSY: Final = 0.001
"""Seconds between two looks at the delivery reports while some are due."""
IDLE: Final = 1.0
"""The same while nothing is in flight: the client's log and errors still come through."""
PAUSE: Final = 0.2
"""Before a producer is replaced, so that one the broker never accepts is not replaced in a spin."""
CHUNK: Final = 1_000
"""Entries handed to the client before other tasks get a turn."""


@final
class Publisher:
    """Sends through one producer; when that can't go on, a new one sends what is unconfirmed again, in order."""

    def __init__(self, make: Callable[[Callable[[], None]], Producer]) -> None:
        """`make` gets whom to call when the producer that it makes is stranded."""
        self._make: Final = make
        self._producer = make(self._replace)
        self._turn: Final = asyncio.Lock()
        self._batches: Final[dict[Batch, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._replacing: asyncio.Task[None] | None = None
        self._closed = False
        self._poll()

    async def publish(self, entries: Sequence[Sendable], seconds: float) -> list[Outcome]:
        """The outcomes of `entries`, in their order. Batches reach the client in the order of the calls."""
        if self._closed:
            raise ClosedError("the Kafka transport")
        batch = Batch(entries, self._replace)
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    self._batches[batch] = None
                    await self._send(batch, range(len(entries)))
                await batch.done
        except TimeoutError:
            pass  # what is missing is unknown, and the outcomes say so
        finally:
            self._batches.pop(batch, None)
        return batch.outcomes(seconds)

    async def close(self, seconds: float) -> None:
        """Waits up to `seconds` for what is in flight, then drops it."""
        self._closed = True
        if self._batches:
            await asyncio.wait([batch.done for batch in self._batches], timeout=seconds)
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.wait([self._replacing])
        if self._timer is not None:
            self._timer.cancel()
        # The client's own count would not do: it takes in what it only has to tell.
        if unconfirmed := sum(len(batch.open()) for batch in self._batches):
            _log.warning("%d unconfirmed messages are dropped", unconfirmed)
        _discard(self._producer)

    async def _send(self, batch: Batch, indices: Sequence[int]) -> None:
        """Hands the entries to the client; waits where its queue is full."""
        begun = 0
        while begun < len(indices):
            if self._closed:
                raise ClosedError("the Kafka transport")
            piece = indices[begun : begun + CHUNK]
            taken = self._produce(batch, piece)
            begun += taken
            self._watch()
            if taken < len(piece):
                await asyncio.sleep(BUSY)
            elif begun < len(indices):
                self._producer.poll(0)
                await asyncio.sleep(0)

    def _produce(self, batch: Batch, indices: Sequence[int]) -> int:
        """How many of the entries the client took, refused ones included; fewer than all where its queue is full."""
        produce, entries, report = self._producer.produce, batch.entries, batch.report
        for taken, index in enumerate(indices):
            entry = entries[index]
            given = entry.headers
            headers = given if isinstance(given, list) else list(given)
            try:
                produce(
                    entry.destination.physical,
                    entry.body,
                    entry.key,
                    headers=cast("KafkaHeaders", headers),
                    on_delivery=partial(report, index),
                )
            except BufferError:
                return taken
            except KafkaException as error:
                report(index, error.args[0], None)
            except (TypeError, ValueError) as error:
                batch.settle(index, errors.invalid(entry.destination, error))
        return len(indices)

    def _watch(self) -> None:
        """From now on reports are due."""
        if not self._busy and self._timer is not None:
            self._timer.cancel()
            self._busy = True
            self._timer = asyncio.get_running_loop().call_later(BUSY, self._poll)

    def _poll(self) -> None:
        self._producer.poll(0)
        self._busy = len(self._producer) > 0
        self._timer = asyncio.get_running_loop().call_later(BUSY if self._busy else IDLE, self._poll)

    def _replace(self) -> None:
        if self._replacing is None and not self._closed:
            self._replacing = asyncio.get_running_loop().create_task(self._succeed())

    async def _succeed(self) -> None:
        """A new producer takes over: all that is unconfirmed goes out again, in order, before anything newer."""
        _log.warning("the producer can't go on; a new one sends what is unconfirmed again")
        async with self._turn:
            await asyncio.sleep(PAUSE)
            _discard(self._producer)
            self._producer = await self._made()
            self._replacing = None
            for batch in tuple(self._batches):
                await self._send(batch, batch.open())

    async def _made(self) -> Producer:
        """Another producer, however often the client can't begin one: it may be out of threads for a while."""
        while True:
            try:
                return self._make(self._replace)
            except KafkaException as error:
                _log.warning("no producer can be made, trying again: %s", error.args[0])
            await asyncio.sleep(PAUSE)


def _discard(producer: Producer) -> None:
    """Drops what `producer` still holds, serves its last reports, so that none comes later, and ends its threads."""
    producer.purge()
    producer.close()
