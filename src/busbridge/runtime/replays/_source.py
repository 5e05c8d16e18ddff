"""A part of a stream that is read again, as deliveries for the handlers of one subscription."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, final

from busbridge.errors import ClosedError, SourceEnded
from busbridge.transport import Delivery, Session, Settlement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.runtime.replays._progress import Progress
    from busbridge.transport import Headers, History, Kept, Position


@final
class ReplayDelivery(Delivery):
    """A message of the stream, handed over for a run."""

    __slots__ = ("_source", "finished", "place")

    place: Position

    def __init__(self, source: ReplaySource, session: Session, kept: Kept, *, redelivered: bool) -> None:
        super().__init__(session, kept.body, kept.headers, kept.key, kept.position, redelivered=redelivered)
        self.place = kept.position
        self.finished = False
        self._source = source

    def again(self) -> ReplayDelivery:
        """The next attempt at the same message, in its place."""
        self.attempt += 1
        self.settlement = None
        return self

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        self._source.settled(self, settlement, record)

    def _release(self) -> None:
        """What is not finished is not behind any mark: it comes again when the run goes on."""


@final
class ReplaySource:
    """A `Source` over a `History`. What was fetched belongs to it, not to the task that waits (T5).

    It does not end with the stream, only when it is drained: `done` says that all of it is handled.
    """

    def __init__(
        self,
        history: History,
        progress: Progress,
        prefetch: int,
        keep: Callable[[], Awaitable[None]],
        bury: Callable[[Delivery, Headers], Awaitable[None]],
    ) -> None:
        """`keep` keeps the progress, `bury` puts a delivery to the dead letters, however long that takes."""
        self.done = asyncio.Event()
        self._history = history
        self._progress = progress
        self._prefetch = prefetch
        self._keep = keep
        self._bury = bury
        self._session = Session()
        self._ready: deque[ReplayDelivery] = deque()
        self._lines: defaultdict[int, deque[ReplayDelivery]] = defaultdict(deque)
        self._out = 0
        self._wake = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()
        self._ended = self._draining = self._closed = False

    async def receive(self) -> Sequence[Delivery]:
        """As `Source.receive`."""
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            if self._draining:
                raise SourceEnded(repr(self))
            if batch := self._take():
                return batch
            self._wake.clear()
            if self._ready or self._ended:
                await self._wake.wait()
            else:
                await self._fetch()

    def _take(self) -> list[ReplayDelivery]:
        room = min(self._prefetch - self._out, len(self._ready))
        batch = [self._ready.popleft() for _ in range(room)]
        self._out += len(batch)
        return batch

    async def _fetch(self) -> None:
        """Waits for more of the stream, or to be woken."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetched())
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({self._fetching, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if self._fetching.done():
            fetched, self._fetching = self._fetching, None
            fetched.result()

    async def _fetched(self) -> None:
        """What is about to be handed over is noted first: who goes on must know of what somebody may have died (T7)."""
        try:
            found = await self._history.receive()
        except SourceEnded:
            self._ended = True
            self._check()
            return
        doubtful = [self._progress.is_doubtful(each.position) for each in found]
        self._progress.hand_over(each.position for each in found)
        await self._keep()
        for kept, redelivered in zip(found, doubtful, strict=True):
            delivery = ReplayDelivery(self, self._session, kept, redelivered=redelivered)
            self._lines[kept.position.partition].append(delivery)
            self._ready.append(delivery)

    def settled(self, delivery: ReplayDelivery, settlement: Settlement, record: Headers) -> None:
        """A delivery has come to its end."""
        match settlement:
            case Settlement.ACCEPTED:
                self._finish(delivery)
            case Settlement.RETRIED | Settlement.DELAYED:  # at once: a run has no tiers to wait in
                self._out -= 1
                self._ready.appendleft(delivery.again())
                self._wake.set()
            case Settlement.REJECTED:
                burial = asyncio.create_task(self._buried(delivery, record))
                self._burials.add(burial)
                burial.add_done_callback(self._burials.discard)

    async def _buried(self, delivery: ReplayDelivery, record: Headers) -> None:
        await self._bury(delivery, record)
        self._finish(delivery)

    def _finish(self, delivery: ReplayDelivery) -> None:
        """Moves the mark of its partition past all that is finished without a gap."""
        delivery.finished = True
        self._out -= 1
        line = self._lines[delivery.place.partition]
        while line and line[0].finished:
            self._progress.finish(line.popleft().place)
        self._wake.set()
        self._check()

    def _check(self) -> None:
        if self._ended and not self._out and not self._ready:
            self._progress.finish_all()
            self.done.set()

    def drain(self) -> None:
        """As `Source.drain`."""
        self._draining = True
        self._wake.set()

    async def flush(self, seconds: float) -> bool:
        """As `Source.flush`: what may be under way are dead letters."""
        if self._burials:
            await asyncio.wait(self._burials, timeout=seconds)
        return not self._burials

    async def close(self) -> None:
        """As `Source.close`."""
        self._closed = True
        self._session.taking = self._session.alive = False
        self._wake.set()
        ending = {*self._burials, *([self._fetching] if self._fetching else [])}
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._history.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "draining" if self._draining else "ended" if self._ended else "open"
        return f"<ReplaySource, {state}, {self._out} unsettled, {self._progress!r}>"
