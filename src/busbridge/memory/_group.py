"""A consumer group of a stream: how far it has come, its members, and whose partition is whose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from busbridge.errors import PositionLost
from busbridge.memory._assignment import Assignment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.memory._quiescence import Quiescence
    from busbridge.memory._source import Bury, MemoryDelivery, MemorySource
    from busbridge.memory._stream import Log
    from busbridge.routing import SubscriptionPlan

DRAIN_SECONDS = 10.0
"""How long a partition that moves to another member waits for the handlers that have begun."""


@final
class Group:
    """Replicas of one subscription of a stream. `marks` is the committed position of each partition, resolved once."""

    def __init__(self, plan: SubscriptionPlan, log: Log, quiescence: Quiescence) -> None:
        log.clean()
        self.name = plan.group
        self.log = log
        self.marks = [log.start(index, plan.start.at) for index in range(len(log.partitions))]
        self.handed = list(self.marks)
        self._plan = plan
        self._quiescence = quiescence
        self._passed = sum(self.marks)
        self._members: list[Member] = []
        self._owners: list[Assignment | None] = [None] * len(self.marks)

    @property
    def outstanding(self) -> int:
        """Messages not settled, while somebody is there to settle them."""
        return self.log.total - self._passed if self._members else 0

    def published(self, index: int) -> None:
        """Something was added to a partition: its owner may want to know."""
        if owner := self._owners[index]:
            owner.member.source.wake()

    def advance(self, index: int, mark: int) -> None:
        """All of a partition below `mark` is settled."""
        self._passed += mark - self.marks[index]
        self.marks[index] = mark
        if self._passed == self.log.total:
            self._quiescence.check()

    def lost(self, index: int, offset: int) -> PositionLost:
        """The error for a position that the log does not hold."""
        partition = self.log.partitions[index]
        return PositionLost(self._plan.group, self.log.name, index, offset, partition.base, partition.end)

    def join(self, source: MemorySource, bury: Bury) -> Member:
        """A new member; partitions that move to it are drained first."""
        member = Member(self, source, bury)
        self._members.append(member)
        self.rebalance()
        return member

    def leave(self, member: Member) -> None:
        """The member's partitions go to the others at once. Nobody left: a group that is not durable is forgotten."""
        if member in self._members:
            self._members.remove(member)
            self.drop(member)
        if not self._members:
            self._quiescence.check()
            if not self._plan.durable:
                self.log.groups.pop(self._plan.group, None)

    def drop(self, member: Member) -> None:
        """Ends all sessions of a member and shares its partitions out again."""
        for assignment in list(member.assignments):
            self._end(assignment)
        self.rebalance()

    def rebalance(self) -> None:
        """Moves partitions until members have equal shares, as few as possible, each only after it was drained."""
        if not self._members:
            return
        for surplus in self._surplus():
            self._revoke(surplus)
        for index, owner in enumerate(self._owners):
            if owner is not None and not owner.session.taking and not owner.begun:
                self._end(owner)
            if self._owners[index] is None:
                self._assign(index)

    def _surplus(self) -> Iterator[Assignment]:
        least, extra = divmod(len(self._owners), len(self._members))
        for rank, member in enumerate(sorted(self._members, key=lambda each: -len(each.active()))):
            yield from member.active()[least + (rank < extra) :]

    def _revoke(self, assignment: Assignment) -> None:
        assignment.session.taking = False
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._force, assignment)

    def _force(self, assignment: Assignment) -> None:
        if assignment.session.alive:
            self._end(assignment)
            self.rebalance()

    def _end(self, assignment: Assignment) -> None:
        assignment.end()
        assignment.member.assignments.remove(assignment)
        self._owners[assignment.index] = None

    def _assign(self, index: int) -> None:
        member = min(self._members, key=lambda each: len(each.active()))
        self._owners[index] = assignment = Assignment(self, index, member)
        member.assignments.append(assignment)
        member.source.wake()


@final
class Member:
    """One source's part of a group."""

    def __init__(self, group: Group, source: MemorySource, bury: Bury) -> None:
        self.source = source
        self.bury = bury
        self.out = 0
        self.assignments: list[Assignment] = []
        self._group = group

    def active(self) -> list[Assignment]:
        """The assignments that are not about to move away."""
        return [each for each in self.assignments if each.session.taking]

    def take(self, room: int, *, fresh: bool) -> list[MemoryDelivery]:
        """As `Feed.take`; partitions take turns at being first."""
        batch: list[MemoryDelivery] = []
        for assignment in self.assignments:
            assignment.check()
        for assignment in self.assignments:
            batch += assignment.take(room - len(batch), fresh=fresh)
        self.out += len(batch)
        self.assignments.append(self.assignments.pop(0)) if self.assignments else None
        return batch

    def holds(self) -> bool:
        """As `Feed.holds`."""
        return any(each.again for each in self.active())

    def wait(self) -> None:
        """As `Feed.wait`: a partition's owner is always woken."""

    def pass_on(self) -> None:
        """As `Feed.pass_on`: nobody else may take from these partitions."""

    def leave(self) -> None:
        """As `Feed.leave`."""
        self._group.leave(self)

    def sever(self) -> None:
        """As `Feed.sever`."""
        self._group.drop(self)
