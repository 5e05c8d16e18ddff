"""A partition in the hands of one member of a group: what is handed over, what is settled, how far it is contiguous."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from busbridge.memory._source import MemoryDelivery
from busbridge.transport import Position, Session, Settlement

if TYPE_CHECKING:
    from busbridge.memory._group import Group, Member
    from busbridge.memory._source import MemorySource
    from busbridge.transport import Headers


@final
class Assignment:
    """One session of a partition. It moves the group's mark forward over what is settled without a gap."""

    def __init__(self, group: Group, index: int, member: Member) -> None:
        self.session = Session()
        self.index = index
        self.member = member
        self.out = 0
        self.begun = 0
        self.again: deque[MemoryDelivery] = deque()
        self._group = group
        self._partition = group.log.partitions[index]
        self._next = group.marks[index]
        self._order: deque[int] = deque()
        self._finished: set[int] = set()

    @property
    def source(self) -> MemorySource:
        """As `Lease.source`."""
        return self.member.source

    def check(self) -> None:
        """Raises PositionLost if the log no longer holds what comes next."""
        partition = self._partition
        if not partition.base <= self._next <= partition.end:
            raise self._group.lost(self.index, self._next)

    def take(self, room: int, *, fresh: bool) -> list[MemoryDelivery]:
        """Up to `room` deliveries: what is tried again, then what comes next in the log."""
        if not self.session.taking:
            return []
        batch = [self.again.popleft() for _ in range(min(room, len(self.again)))]
        if fresh and len(batch) < room:
            self._fetch(batch, room)
        self.out += len(batch)
        self.begun += len(batch)
        return batch

    def _fetch(self, batch: list[MemoryDelivery], room: int) -> None:
        partition, handed = self._partition, self._group.handed[self.index]
        while len(batch) < room and self._next < partition.end:
            offset, self._next = self._next, self._next + 1
            self._order.append(offset)
            stored = partition.entries[offset - partition.base]
            if stored is None:
                self._finish(offset)
            else:
                batch.append(MemoryDelivery(self, stored, Position(self.index, offset), redelivered=offset < handed))
        self._group.handed[self.index] = max(handed, self._next)

    def settle(self, delivery: MemoryDelivery, settlement: Settlement, record: Headers) -> None:
        """As `Lease.settle`."""
        self.out -= 1
        self.member.out -= 1
        if settlement is Settlement.RETRIED:
            self.again.append(delivery.again())
            self.member.source.wake()
        else:
            self._close(delivery, settlement, record)
        if not delivery.released:
            self._end_one()

    def _close(self, delivery: MemoryDelivery, settlement: Settlement, record: Headers) -> None:
        if settlement is Settlement.REJECTED:
            self.member.bury(delivery.stored, record)
        if (position := delivery.position) is not None:
            self._finish(position.offset)
        self.member.source.freed(self.member.out)

    def _finish(self, offset: int) -> None:
        if self._order[0] != offset:
            self._finished.add(offset)
            return
        self._order.popleft()
        while self._order and self._order[0] in self._finished:
            offset = self._order.popleft()
            self._finished.discard(offset)
        self._group.advance(self.index, offset + 1)

    def release(self, delivery: MemoryDelivery) -> None:  # noqa: ARG002 - only their number counts
        """As `Lease.release`: one less to wait for when the partition is to move."""
        self._end_one()

    def _end_one(self) -> None:
        self.begun -= 1
        if not self.begun and not self.session.taking:
            self._group.rebalance()

    def end(self) -> None:
        """The session is over: what is not settled comes again from the group's mark."""
        self.session.taking = self.session.alive = False
        self.member.out -= self.out
        self.out = 0
