"""The way to Kafka: an idempotent producer whose every delivery report is checked.

Reports are served by the event loop itself, with `poll(0)` on a short timer while anything is in flight. Measured against a
thread that polls and hands reports to the loop (PLACEHOLDER).
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaException, Producer

from busbridge.errors import ClosedError
from busbridge_kafka import _errors as errors
from busbridge_kafka._batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busbridge.transport import Outcome
    from busbridge_kafka._batch import Sendable

_log: Final = logging.getLogger("busbridge.kafka")

BUSY: Final = 0.001
"""Seconds between two looks at the delivery reports while some are due."""
IDLE: Final = 1.0
"""The same while nothing is in flight: the client's log and errors still come through."""
CHUNK: Final = 1_000
"""Entries handed to the client before other tasks get a turn."""


@final
class Publisher:
    """Sends batches through one producer at a time; a producer that can't go on is replaced, and what it left is sent again."""

    def __init__(self, make: Callable[[], Producer]) -> None:
        self._make: Final = make
        self._producer = make()
        self._turn: Final = asyncio.Lock()
        self._batches: Final[dict[Batch, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fast = False
        self._replacing: asyncio.Task[None] | None = None
        self._closed = False
        self._poll()

    async def publish(self, entries: Sequence[Sendable], seconds: float) -> list[Outcome]:
        """The outcomes of `entries`, in their order. Batches reach the client in the order of the calls."""
        if self._closed:
            raise ClosedError("the Kafka transport")
        batch = Batch(entries, self._replace)
        self._batches[batch] = None
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    await self._send(batch, range(len(entries)))
                await batch.done
        except TimeoutError:
            pass
        finally:
            del self._batches[batch]
        return batch.outcomes(seconds)

    async def close(self, seconds: float) -> None:
        """Waits up to `seconds` for what is in flight, then drops it."""
        self._closed = True
        try:
            async with asyncio.timeout(seconds):
                while self._batches:
                    await asyncio.wait([batch.done for batch in self._batches])
                    await asyncio.sleep(0)
        except TimeoutError:
            _log.warning("closed with %d unconfirmed messages", len(self._producer))
        await self._stop()

    async def _stop(self) -> None:
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.wait([self._replacing])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _discard(self._producer)

    async def _send(self, batch: Batch, indices: Iterable[int]) -> None:
        sent = 0
        for index in indices:
            while not self._produce(batch, index):  # the client's queue is full: wait for reports, never raise
                await asyncio.sleep(BUSY)
            sent += 1
            if sent % CHUNK == 0:
                self._producer.poll(0)
                await asyncio.sleep(0)
        self._watch()

    def _produce(self, batch: Batch, index: int) -> bool:
        entry = batch.entries[index]
        headers = entry.headers
        try:
            self._producer.produce(
                entry.destination.physical,
                entry.body,
                entry.key,
                headers=headers if type(headers) is list else list(headers),
                on_delivery=partial(batch.report, index),
            )
        except BufferError:
            self._watch()
            return False
        except KafkaException as error:
            batch.report(index, error.args[0], None)
        except (TypeError, ValueError) as error:
            batch.settle(index, errors.invalid(entry.destination, error))
        return True

    def _watch(self) -> None:
        if not self._fast and self._timer is not None:
            self._timer.cancel()
            self._fast = True
            self._timer = asyncio.get_running_loop().call_later(BUSY, self._poll)

    def _poll(self) -> None:
        self._producer.poll(0)
        self._fast = len(self._producer) > 0
        self._timer = asyncio.get_running_loop().call_later(BUSY if self._fast else IDLE, self._poll)

    def _replace(self) -> None:
        if self._replacing is None and not self._closed:
            self._replacing = asyncio.get_running_loop().create_task(self._succeed())

    async def _succeed(self) -> None:
        """A new producer takes over: all that is unconfirmed goes out again, in order, before anything newer."""
        _log.warning("the producer can't go on; a new one sends what is unconfirmed again")
        async with self._turn:
            _discard(self._producer)
            self._producer = self._make()
            self._replacing = None
            for batch in tuple(self._batches):
                await self._send(batch, tuple(batch.open()))


def _discard(producer: Producer) -> None:
    """Drops what `producer` still holds and serves its last reports, so that none comes later."""
    producer.purge()
    producer.poll(0)
