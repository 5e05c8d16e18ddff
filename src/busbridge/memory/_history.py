"""A stream as one reader goes through it, beside the groups."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import ClosedError, PositionLost, SourceEnded
from busbridge.transport import Kept, Part, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from busbridge.memory._stream import Log
    from busbridge.routing import StartAt
    from busbridge.transport import Until

_BATCH: Final = 500
"""Messages handed over at a time, at most."""


@final
class MemoryHistory:
    """Parts of a log. One reader."""

    def __init__(self, log: Log, parts: Mapping[int, Part]) -> None:
        self.parts = dict(parts)
        self._log = log
        self._next = {index: part.begin for index, part in parts.items()}
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        log.readers.add(self)

    @property
    def remaining(self) -> int | None:
        """As `History.remaining`."""
        left = 0
        for index, begin in self._next.items():
            if (end := self.parts[index].end) is None:
                return None
            left += max(end - begin, 0)
        return left

    async def receive(self) -> Sequence[Kept]:
        """As `History.receive`. Always lets other tasks run, so that a reader that never waits starves nobody."""
        await asyncio.sleep(0)
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            if batch := [kept for index in self._next for kept in self._take(index)]:
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
        last = self.parts[index].end
        end = min(begin + share, partition.end if last is None else last)
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
        return any(self._log.partitions[index].end > begin for index, begin in self._next.items())

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


def parts_of(log: Log, start: StartAt, until: Until) -> dict[int, Part]:
    """What there is of a log from a start to an end, of each partition."""
    log.clean()
    ends = [each.end for each in log.partitions]
    return {
        index: Part(min(log.start(index, start.at), ends[index]), None if until is None else _end(log, index, until))
        for index in range(len(log.partitions))
    }


def _end(log: Log, index: int, until: Until) -> int:
    partition = log.partitions[index]
    return partition.offset_at(until.timestamp()) if isinstance(until, datetime) else partition.end
