"""What waits for one of many workers: a queue, or what a topic copied for a subscription."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from busbridge.memory._source import MemoryDelivery, MemorySource
from busbridge.transport import Session, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from busbridge.memory._quiescence import Quiescence
    from busbridge.memory._source import Bury
    from busbridge.memory._stored import Stored
    from busbridge.transport import Headers


@final
class Mailbox:
    """Competing consumers of one queue. In an ordered one the head of each key hides those behind it until settled."""

    def __init__(
        self,
        name: str,
        quiescence: Quiescence,
        clock: Callable[[], float],
        on_expired: Callable[[Stored], None],
        *,
        ordered: bool = False,
        max_length: int | None = None,
        ttl: float | None = None,
    ) -> None:
        self.name = name
        self._quiescence = quiescence
        self._clock = clock
        self._on_expired = on_expired
        self._ordered = ordered
        self._max_length = max_length
        self._ttl = ttl
        self._sequence = 0
        self._count = 0
        self._ready: deque[Stored] = deque()
        self._behind: dict[str, deque[Stored]] = {}
        self._sources: set[MemorySource] = set()
        self._idle: dict[MemorySource, None] = {}

    @property
    def outstanding(self) -> int:
        """Messages not settled, while somebody is there to settle them."""
        return self._count if self._sources else 0

    @property
    def full(self) -> bool:
        """True if nothing more fits."""
        if self._max_length is None or self._count < self._max_length:
            return False
        self.expire()
        return self._count >= self._max_length

    @property
    def consumed(self) -> bool:
        """True while it has a source."""
        return bool(self._sources)

    def put(self, stored: Stored) -> None:
        """Keeps the message and wakes a source that waits."""
        stored.sequence = self._sequence = self._sequence + 1
        if self._ttl is not None:
            stored.since = self._clock()
        self._count += 1
        if self._ordered and stored.key is not None:
            if (behind := self._behind.get(stored.key)) is not None:
                behind.append(stored)
                return
            self._behind[stored.key] = deque()
        self._ready.append(stored)
        if self._idle:
            self.nudge()

    def take(self, room: int) -> list[Stored]:
        """Up to `room` messages: no more than an equal share of what is ready, so that members share the work."""
        self.expire()
        ready = self._ready
        share = min(room, -(-len(ready) // max(1, len(self._sources))))
        taken = [ready.popleft() for _ in range(share)]
        if ready and self._idle:
            self.nudge()
        return taken

    def finish(self, stored: Stored) -> None:
        """The message is settled: what waited behind it may be taken."""
        self._count -= 1
        if not self._count:
            self._quiescence.check()
        if self._ordered and stored.key is not None:
            self._advance(stored.key)

    def _advance(self, key: str) -> None:
        if behind := self._behind[key]:
            self._ready.append(behind.popleft())
            self.nudge()
        else:
            del self._behind[key]

    def restore(self, unsettled: Iterable[Stored]) -> None:
        """Puts back what was taken, in its old place."""
        back = list(unsettled)
        for stored in back:
            stored.redelivered = True
        self._ready = deque(sorted([*back, *self._ready], key=lambda each: each.sequence))
        for _ in self._sources:
            self.nudge()

    def expire(self) -> None:
        """Lets go what nobody has read in time."""
        if self._ttl is None:
            return
        due = self._clock() - self._ttl
        while self._ready and self._ready[0].since <= due:
            stored = self._ready.popleft()
            self.finish(stored)
            self._on_expired(stored)

    def join(self, source: MemorySource, bury: Bury) -> MailboxFeed:
        """A feed for a new source, whose rejected messages go to `bury`."""
        self._sources.add(source)
        return MailboxFeed(self, source, bury)

    def leave(self, source: MemorySource) -> None:
        """The source takes no more."""
        self._sources.discard(source)
        self._idle.pop(source, None)
        self._quiescence.check()

    def wait(self, source: MemorySource) -> None:
        """The source has room: wake it when something is ready."""
        self._idle[source] = None

    def nudge(self) -> None:
        """Wakes one source that waits, if something is ready."""
        while self._ready and self._idle:
            source = next(iter(self._idle))
            del self._idle[source]
            if source.wake():
                return


@final
class MailboxFeed:
    """One source's part of a mailbox. A source has one session at a time; a severed one goes on in the next."""

    def __init__(self, mailbox: Mailbox, source: MemorySource, bury: Bury) -> None:
        self.session = Session()
        self.out = 0
        self.source = source
        self._mailbox = mailbox
        self._bury = bury
        self._held: dict[Stored, None] = {}
        self._again: deque[MemoryDelivery] = deque()

    def take(self, room: int, *, fresh: bool) -> list[MemoryDelivery]:
        """As `Feed.take`."""
        batch = [self._again.popleft() for _ in range(min(room, len(self._again)))]
        if fresh and len(batch) < room:
            for stored in self._mailbox.take(room - len(batch)):
                self._held[stored] = None
                attempts, position = stored.standing
                batch.append(
                    MemoryDelivery(self, stored, position, redelivered=stored.redelivered, attempt=attempts + 1)
                )
        self.out += len(batch)
        return batch

    def settle(self, delivery: MemoryDelivery, settlement: Settlement, record: Headers) -> None:
        """As `Lease.settle`."""
        self.out -= 1
        if settlement is Settlement.RETRIED:
            self._again.append(delivery.again())
            self.source.wake()
            return
        if settlement is Settlement.REJECTED:
            self._bury(delivery.stored, record)
        del self._held[delivery.stored]
        self._mailbox.finish(delivery.stored)
        self.source.freed(self.out)

    def release(self, delivery: MemoryDelivery) -> None:
        """As `Lease.release`: it stays with this session until that ends."""

    def holds(self) -> bool:
        """As `Feed.holds`."""
        return bool(self._again)

    def wait(self) -> None:
        """As `Feed.wait`."""
        self._mailbox.wait(self.source)

    def pass_on(self) -> None:
        """As `Feed.pass_on`."""
        self._mailbox.nudge()

    def leave(self) -> None:
        """As `Feed.leave`."""
        self._mailbox.leave(self.source)
        self._give_back()

    def sever(self) -> None:
        """As `Feed.sever`."""
        self._give_back()
        self.session = Session()

    def _give_back(self) -> None:
        self.session.taking = self.session.alive = False
        unsettled, self._held = self._held, {}
        self._again.clear()
        self.out = 0
        self._mailbox.restore(unsettled)
