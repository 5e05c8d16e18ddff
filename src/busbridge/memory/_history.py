"""A stream as one reader goes through it, beside the groups."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import ClosedError, PositionLost, SourceEnded
from busbridge.transport import Kept, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from busbridge.memory._stream import Log
    from busbridge.routing import StartAt
    from busbridge.transport import Until

_BATCH: Final = 500
"""Messages handed over at a time, at most."""


@final
class MemoryHistory:
    """A log from a start to an end, both resolved here. One reader."""

    def __init__(self, log: Log, start: StartAt, until: Until) -> None:
        log.clean()
        partitions = range(len(log.partitions))
        ends = [each.end for each in log.partitions]
        self._log = log
        self._next = [min(log.start(index, start.at), ends[index]) for index in partitions]
        self._ends = None if until is None else [_end(log, index, until) for index in partitions]
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        log.readers.add(self)

    @property
    def remaining(self) -> int | None:
        """As `History.remaining`."""
        if self._ends is None:
            return None
        return sum(max(end - begin, 0) for begin, end in zip(self._next, self._ends, strict=True))

    async def receive(self) -> Sequence[Kept]:
        """As `History.receive`. Always lets other tasks run, so that a reader that never waits starves nobody."""
        await asyncio.sleep(0)
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            if batch := [kept for index in range(len(self._next)) for kept in self._take(index)]:
                return batch
            if self.remaining == 0:
                self.abandon()
                raise SourceEnded(repr(self))
            await self._wait()

    def _take(self, index: int) -> Iterator[Kept]:
        """A fair share of one partition."""
        partition = self._log.partitions[index]
        begin = self._next[index]
        share = max(_BATCH // len(self._next), 1)
        end = min(begin + share, self._ends[index] if self._ends else partition.end)
        if begin < min(partition.base, end):
            raise PositionLost(None, self._log.name, index, begin, partition.base, partition.end)
        for offset in range(begin, end):
            stored = partition.entries[offset - partition.base]
            self._next[index] = offset + 1
            if stored is not None:
                yield Kept(stored.body, stored.headers, stored.key, Position(index, offset), stored.since)

    async def _wait(self) -> None:
        if self._behind():
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _behind(self) -> bool:
        """True where the log holds more: what was compacted away may fill a whole share."""
        return any(each.end > begin for each, begin in zip(self._log.partitions, self._next, strict=True))

    def wake(self) -> None:
        """Something was published, or the reader is closed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abandon(self) -> None:
        """As `History.abandon`."""
        self._log.readers.discard(self)

    async def close(self) -> None:
        """As `History.close`."""
        self._closed = True
        self.abandon()
        self.wake()

    def __repr__(self) -> str:
        return f"<MemoryHistory of {self._log.name!r}, {'closed' if self._closed else 'open'}>"


def _end(log: Log, index: int, until: Until) -> int:
    partition = log.partitions[index]
    return partition.offset_at(until.timestamp()) if isinstance(until, datetime) else partition.end
