"""One transport's way out: concurrent publishes share batches, a few batches are in flight at a time.

Batching is what makes publishing fast: `scripts/bench` compares `kafka_publish_many` with `kafka_publish`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.transport import Entry, Outcome, Transport

BATCH: Final = 500
"""Entries that go to the transport in one call, about."""
FLIGHTS: Final = 4
"""Calls to the transport that are open at a time."""


@final
class Sender:
    """Publishes through one transport. Entries reach it in the order of the calls to `send`."""

    def __init__(self, transport: Transport, seconds: float) -> None:
        self.system = transport.system
        self._transport = transport
        self._seconds = seconds
        self._waiting: deque[tuple[Sequence[Entry], asyncio.Future[Sequence[Outcome]]]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._due = False
        self._closed = False

    def send(self, entries: Sequence[Entry]) -> asyncio.Future[Sequence[Outcome]]:
        """The outcomes of `entries`, in their order, when all are known. Cancelling it does not stop the publish.

        Raises ClosedError after `close`.
        """
        if self._closed:
            raise ClosedError(repr(self))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Outcome]] = loop.create_future()
        self._waiting.append((entries, future))
        if not self._due and len(self._flights) < FLIGHTS:
            self._due = True
            loop.call_soon(self._depart)
        return future

    async def close(self) -> None:
        """Takes nothing more, waits until all that was sent has its outcome, for which each publish has a deadline."""
        self._closed = True
        while self._waiting or self._flights or self._due:
            await asyncio.sleep(0) if not self._flights else await asyncio.wait(self._flights)

    def _depart(self) -> None:
        self._due = False
        while self._waiting and len(self._flights) < FLIGHTS:
            group = self._take()
            flight = asyncio.get_running_loop().create_task(self._fly(group))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _take(self) -> list[tuple[Sequence[Entry], asyncio.Future[Sequence[Outcome]]]]:
        group: list[tuple[Sequence[Entry], asyncio.Future[Sequence[Outcome]]]] = []
        size = 0
        while self._waiting and size < BATCH:
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        return group

    async def _fly(self, group: list[tuple[Sequence[Entry], asyncio.Future[Sequence[Outcome]]]]) -> None:
        try:
            if len(group) == 1:
                outcomes = await self._transport.publish(group[0][0], self._seconds)
            else:
                entries = [entry for each, _ in group for entry in each]
                outcomes = await self._transport.publish(entries, self._seconds)
        except BaseException as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error) if isinstance(error, Exception) else future.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            _distribute(group, outcomes)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if self._waiting:
            self._depart()

    def __repr__(self) -> str:
        return f"<Sender to {self._transport!r}, {'closed' if self._closed else 'open'}, flights {len(self._flights)}>"


def _distribute(
    group: list[tuple[Sequence[Entry], asyncio.Future[Sequence[Outcome]]]], outcomes: Sequence[Outcome]
) -> None:
    begin = 0
    for entries, future in group:
        end = begin + len(entries)
        if not future.done():
            future.set_result(outcomes[begin:end])
        begin = end
