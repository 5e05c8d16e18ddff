"""A stream: partitions that keep what was published, in order, at offsets that never change."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.memory._group import Group
    from busbridge.memory._history import MemoryHistory
    from busbridge.memory._stored import Stored

DEFAULT_PARTITIONS = 4
"""Of a stream that doesn't say: enough to make members compete and keys spread, as on a real broker."""

_TRIM_EVERY: Final = 1024
"""Messages of a partition between two looks at what is too old, so that forgetting costs a message next to nothing."""


@final
class Partition:
    """One log. `entries[i]` stands at offset `base + i`; what was compacted away is None."""

    __slots__ = ("base", "entries")

    def __init__(self) -> None:
        self.base = 0
        self.entries: list[Stored | None] = []

    @property
    def end(self) -> int:
        """The offset that the next message will have."""
        return self.base + len(self.entries)

    def offset_at(self, moment: float) -> int:
        """The first offset published at or after a moment; the end, if there is none."""
        kept = [(each.since, self.base + index) for index, each in enumerate(self.entries) if each is not None]
        found = bisect_left(kept, (moment, 0))
        return kept[found][1] if found < len(kept) else self.end

    def trim(self, oldest: float) -> None:
        """Forgets what was published before a moment."""
        count = 0
        while count < len(self.entries) and ((entry := self.entries[count]) is None or entry.since < oldest):
            count += 1
        del self.entries[:count]
        self.base += count

    def compact(self, below: int) -> None:
        """Of the entries below an offset, keeps the newest of each key in the whole log."""
        newest = {entry.key: index for index, entry in enumerate(self.entries) if entry is not None}
        for index in range(max(0, min(below - self.base, len(self.entries)))):
            entry = self.entries[index]
            if entry is not None and entry.key is not None and newest[entry.key] != index:
                self.entries[index] = None


@final
class Log:
    """The partitions of a stream and the groups that read it."""

    def __init__(
        self, name: str, partitions: int | None, now: Callable[[], float], *, retention: float | None, compaction: bool
    ) -> None:
        self.name = name
        self.partitions = [Partition() for _ in range(partitions or DEFAULT_PARTITIONS)]
        self.groups: dict[str, Group] = {}
        self.readers: set[MemoryHistory] = set()
        self.total = 0
        self._now = now
        self._retention = retention
        self._compaction = compaction
        self._turn = 0

    def put(self, stored: Stored) -> tuple[int, int]:
        """Keeps the message; returns its partition and offset. A key always has the same partition."""
        index = self._partition_of(stored.key)
        partition = self.partitions[index]
        stored.since = self._now()
        partition.entries.append(stored)
        if self._retention is not None and not partition.end % _TRIM_EVERY:
            partition.trim(stored.since - self._retention)
        self.total += 1
        for group in self.groups.values():
            group.published(index)
        for reader in tuple(self.readers):  # a copy: one that is collected leaves by itself
            reader.wake()
        return index, partition.end - 1

    def add(self, group: Group) -> Group:
        """A group that reads from now on."""
        self.groups[group.name] = group
        return group

    def _partition_of(self, key: str | None) -> int:
        if key is None:
            self._turn += 1
            return self._turn % len(self.partitions)
        return zlib.crc32(key.encode()) % len(self.partitions)

    def clean(self) -> None:
        """Applies retention and compaction. Compaction touches only what every group has settled."""
        if self._retention is not None:
            for partition in self.partitions:
                partition.trim(self._now() - self._retention)
        if self._compaction:
            for index, partition in enumerate(self.partitions):
                partition.compact(min((group.marks[index] for group in self.groups.values()), default=partition.end))

    def start(self, index: int, at: str | int | datetime) -> int:
        """The offset of a partition at which a new group begins."""
        partition = self.partitions[index]
        if at == "earliest":
            return partition.base
        if at == "latest":
            return partition.end
        return partition.offset_at(at.timestamp()) if isinstance(at, datetime) else int(at)
