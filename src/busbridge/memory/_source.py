"""Deliveries of one subscription to one process: what waits, what is out, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from busbridge.errors import ClosedError, SourceEnded
from busbridge.transport import Delivery, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.memory._stored import Stored
    from busbridge.memory._waiting import Waiting
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Headers, Position, Session

Bury: TypeAlias = "Callable[[Stored, Headers], None]"
"""Keeps a rejected message, with its record, in the subscription's dead-letter place."""


class Lease(Protocol):
    """What holds a delivery until it is settled: a source's session at a queue, or an assignment of a partition."""

    session: Session

    @property
    def source(self) -> MemorySource: ...

    def settle(self, delivery: MemoryDelivery, settlement: Settlement, record: Headers) -> None: ...

    def release(self, delivery: MemoryDelivery) -> None: ...


@final
class MemoryDelivery(Delivery):
    """A delivery of the in-memory transport."""

    __slots__ = ("lease", "released", "stored")

    def __init__(
        self, lease: Lease, stored: Stored, position: Position | None, *, redelivered: bool, attempt: int = 1
    ) -> None:
        super().__init__(
            lease.session,
            stored.body,
            stored.headers,
            stored.key,
            position,
            redelivered=redelivered,
            attempt=attempt,
        )
        self.lease = lease
        self.stored = stored
        self.released = False

    def again(self) -> MemoryDelivery:
        """The next attempt at the same message."""
        return MemoryDelivery(
            self.lease, self.stored, self.position, redelivered=self.redelivered, attempt=self.attempt + 1
        )

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        self.lease.settle(self, settlement, record)

    def _release(self) -> None:
        if not self.released:
            self.released = True
            self.lease.release(self)

    def _put_off(self, tier: int, added: Headers) -> None:
        self.lease.source.put_off(self, tier, added)
        self.lease.settle(self, Settlement.DELAYED, ())


class Feed(Protocol):
    """Where a source takes from: a mailbox, or its share of a stream."""

    out: int
    """Deliveries handed over and not settled."""

    def take(self, room: int, *, fresh: bool) -> list[MemoryDelivery]:
        """Up to `room` deliveries: first what is tried again, then, if `fresh`, what is new."""
        ...

    def holds(self) -> bool:
        """True while something waits to be tried again by this source."""
        ...

    def wait(self) -> None:
        """The source has room and waits: wake it when there is something."""
        ...

    def pass_on(self) -> None:
        """The source was woken, or might have been, and will not take: wake another."""
        ...

    def leave(self) -> None:
        """Gives back everything that is not settled. Twice is fine."""
        ...

    def sever(self) -> None:
        """Gives back everything that is not settled and goes on in a new session, as after a lost connection."""
        ...


@final
class MemorySource:
    """A source over a feed. One reader."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        prefetch: int,
        join: Callable[[MemorySource], Feed],
        on_close: Callable[[MemorySource], None],
        waiting: Waiting | None = None,
    ) -> None:
        """`waiting`: for what is put off; None where the plan has no tiers."""
        self._plan = plan
        self._prefetch = prefetch
        self._waiter: asyncio.Future[None] | None = None
        self._draining = False
        self._closed = False
        self._on_close = on_close
        self._waiting = waiting
        self._feed = join(self)

    async def receive(self) -> Sequence[Delivery]:
        """As `Source.receive`. Always lets other tasks run, so that a reader that never waits starves nobody."""
        await asyncio.sleep(0)
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            if batch := self._feed.take(self._prefetch - self._feed.out, fresh=not self._draining):
                return batch
            if self._draining and not self._feed.holds():
                raise SourceEnded(repr(self))
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        if self._takes():
            self._feed.wait()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._waiter = None
            self._feed.pass_on()
            raise
        self._waiter = None

    def wake(self) -> bool:
        """Wakes the reader, if it waits; True if it will take something then."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_result(None)
        return self._takes()

    def freed(self, out: int) -> None:
        """A delivery was settled and `out` are left: a reader that waited for room may go on."""
        if out == self._prefetch - 1:
            self.wake()

    def put_off(self, delivery: MemoryDelivery, tier: int, added: Headers) -> None:
        """A delivery is settled by letting its message wait."""
        assert self._waiting is not None
        self._waiting.put(delivery, self._plan.retry.tiers[tier], added)

    def _takes(self) -> bool:
        return not self._draining and not self._closed and self._feed.out < self._prefetch

    def drain(self) -> None:
        """As `Source.drain`."""
        self._draining = True
        self.wake()
        self._feed.pass_on()

    async def flush(self, seconds: float) -> bool:  # noqa: ARG002 - nothing is ever under way
        """As `Source.flush`: settlements are with the broker when their call returns."""
        return True

    async def close(self) -> None:
        """As `Source.close`."""
        if self._closed:
            return
        self._closed = True
        self._feed.leave()
        self._on_close(self)
        self.wake()

    def sever(self) -> None:
        """Loses the connection: the session dies, what was not settled is delivered again, in a new session."""
        if not self._closed:
            self._feed.sever()
            self.wake()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "draining" if self._draining else "open"
        return f"<MemorySource of {self._plan.group!r}, {state}, {self._feed.out} unsettled>"
