"""What can't be handled goes to the subscription's dead letters, confirmed, before its delivery is finished."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, final

from busbridge.errors import BusbridgeError, ClosedError
from busbridge.transport import Status
from busbridge_rabbitmq._batch import Batch, Item
from busbridge_rabbitmq._connection import Backoff
from busbridge_rabbitmq._properties import fitting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.transport import Headers, Outcome
    from busbridge_rabbitmq._delivery import RabbitDelivery
    from busbridge_rabbitmq._publisher import Publisher
    from busbridge_rabbitmq._routes import Route

_log = logging.getLogger("busbridge.rabbitmq.dead_letters")

_PATIENCE = 30.0
"""Seconds for one try; there is always another."""


@final
class DeadLetters:
    """Publishes dead letters in batches, in the order of rejection, for as long as it takes.

    What is put off goes the same way: it is the same promise, to another queue.
    """

    def __init__(self, route: Route, publisher: Publisher, repair: Callable[[], Awaitable[None]]) -> None:
        self._route = route
        self._publisher = publisher
        self._repair = repair
        self._queue: list[tuple[RabbitDelivery, Headers]] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, delivery: RabbitDelivery, record: Headers) -> None:
        """Takes over a rejected delivery."""
        self._queue.append((delivery, record))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name=f"busbridge copies to {self._route.name}")

    async def idle(self) -> None:
        """Waits until all are confirmed."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self, seconds: float) -> None:
        """Gives up what is not confirmed in time: its delivery stays unfinished, and the broker hands it over again."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        try:
            await self._until_empty()
        except ClosedError:
            _log.info("%d messages for %r were not sent before closing", len(self._queue), self._route.name)
        finally:
            self._task = None  # at once: what is put next must find that nobody is draining

    async def _until_empty(self) -> None:
        backoff = Backoff()
        while self._queue:
            self._queue = [each for each in self._queue if each[0].session.alive]
            batch = list(self._queue)
            if batch and not await self._publish(batch):
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()

    async def _publish(self, batch: list[tuple[RabbitDelivery, Headers]]) -> bool:
        """Publishes them; True if all are confirmed. Those that are leave the queue and are finished."""
        outcomes = await self._outcomes(batch)
        left = [each for each, outcome in zip(batch, outcomes, strict=True) if not _finished(each[0], outcome)]
        self._queue[: len(batch)] = left
        if not left:
            return True
        why = next(outcome.error for outcome in outcomes if outcome.status is not Status.CONFIRMED)
        _log.error("%d messages for %r wait: %s", len(left), self._route.name, why)
        await self._mend()
        return False

    async def _outcomes(self, batch: list[tuple[RabbitDelivery, Headers]]) -> Sequence[Outcome]:
        waiting = Batch([self._route.name] * len(batch), asyncio.get_running_loop().create_future())
        most = self._publisher.frame_max
        items = [
            Item(
                waiting, index, self._route, self._route.name, fitting(each.properties, record, most), each.body or b""
            )
            for index, (each, record) in enumerate(batch)
        ]
        return await self._publisher.publish(waiting, items, _PATIENCE)

    async def _mend(self) -> None:
        """The queue may have been deleted: declare it again. What prevents that is logged; there is another try."""
        try:
            await self._repair()
        except BusbridgeError as error:
            _log.error("the queue %r can't be declared: %s", self._route.name, error)


def _finished(delivery: RabbitDelivery, outcome: Outcome) -> bool:
    if outcome.status is not Status.CONFIRMED:
        return False
    if delivery.session.alive:
        delivery.consumer.accepted(delivery)
    return True
