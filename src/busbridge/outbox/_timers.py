"""Timers that are due, as deliveries: what a handler is to get again comes back through here."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

from busbridge.envelope import new_id
from busbridge.errors import ClosedError, SourceEnded, StoreError
from busbridge.outbox._outage import Outage
from busbridge.outbox._rows import position_of, to_dead_letter
from busbridge.outbox._seams import reached
from busbridge.outbox._text import text_headers, text_key
from busbridge.transport import Delivery, Session, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.store import Store, TimerRow
    from busbridge.transport import Headers

_log = logging.getLogger("busbridge.timers")

_CLAIM: Final = 60.0
"""Seconds after which a timer that was claimed and not dropped is another's."""
_BEGUN_IN: Final = 0.8
"""The part of a claim in which handling may begin."""
_POLL: Final = 1.0
"""Seconds between two looks when nobody says when a timer is due."""
_SOON: Final = 60.0
"""Seconds within which a timer is waited for by itself."""
_LAST_WORDS: Final = 2.0
"""Seconds that the database has, when the source closes, to take back what was claimed."""


@final
class TimerDelivery(Delivery):
    """A delivery of a timer. Dropping the timer, in the transaction of what it caused, is what settles it.

    It counts as handed over before, always: nobody knows whether an earlier claim ended with its process (T7).
    """

    __slots__ = ("_source", "timer")

    def __init__(self, source: TimerSource, session: Session, timer: TimerRow, attempt: int) -> None:
        super().__init__(
            session,
            timer.body,
            text_headers(timer.headers),
            text_key(timer.key),
            position_of(timer),
            redelivered=True,
            attempt=attempt,
        )
        self.timer = timer
        self._source = source

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        self._source.settled(self, settlement, record)

    def _release(self) -> None:
        self._source.released(self)


@final
class TimerSource:
    """The due timers of `places`, the handlers of one subscription. A `Source`, beside that of the broker.

    A delivery's `accept` does nothing but make room: the pipeline has dropped its timer. `reject` moves it from the
    timers to the outbox in a transaction of its own, for which it may try for long; a pipeline that has a transaction
    puts `to_dead_letter` there, drops the timer, and accepts. What is released, or left by a process that ended, comes
    again once its claim has ended.
    """

    def __init__(
        self,
        store: Store,
        plan: SubscriptionPlan,
        places: Iterable[str],
        *,
        prefetch: int = 100,
        claim: float = _CLAIM,
        poll: float = _POLL,
        buried: Callable[[], None] = lambda: None,
    ) -> None:
        """`buried` is called when `reject` has put something into the outbox."""
        self._store = store
        self._plan = plan
        self._places = tuple(places)
        self._prefetch = prefetch
        self._claim = claim
        self._poll = poll
        self._buried = buried
        self._owner = new_id()
        self._out: dict[str, TimerDelivery] = {}
        self._left: list[TimerDelivery] = []
        self._again: list[TimerDelivery] = []
        self._looking: asyncio.Task[list[TimerRow]] | None = None
        self._asked = 0.0
        self._burials: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._database = Outage(_log, f"{plan.group}: the timers can't be read")
        self._draining = False
        self._closed = False

    def expect(self, seconds: float) -> None:
        """A timer was committed that is due in `seconds`: looks then. A plain call, on the loop's thread.

        One that is far off is found by looking: any number may wait, and each call takes memory until its time comes.
        """
        if seconds < _SOON:
            asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def receive(self) -> Sequence[Delivery]:
        """As `Source.receive`. A database that is away is waited for."""
        while True:
            if self._closed:
                raise ClosedError(repr(self))
            self._wake.clear()
            pause = self._poll
            try:
                if found := self._taken_again() or await self._look():
                    return found
            except StoreError as error:
                pause = self._database.failed(error)
            if self._draining:
                raise SourceEnded(repr(self))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def drain(self) -> None:
        """As `Source.drain`."""
        self._draining = True
        self._wake.set()

    async def flush(self, seconds: float) -> bool:
        """As `Source.flush`: what is not with the database yet are the rejected ones."""
        if self._burials:
            await asyncio.wait(self._burials, timeout=seconds)
        return not self._burials

    async def close(self) -> None:
        """As `Source.close`. What was claimed and has not been settled is anybody's again, at once."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        ending: set[asyncio.Task[Any]] = {*self._burials, *([self._looking] if self._looking else [])}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._give_back()

    async def _give_back(self) -> None:
        """Ends the claims that are still ours. A timer that was dropped after all is known to the inbox."""
        timers = [each.timer for each in (*self._left, *self._out.values()) if each.session.taking]
        if timers:
            async with self._store.transaction() as transaction:
                await transaction.put_timers(timers)

    def _taken_again(self) -> list[TimerDelivery]:
        again, self._again = self._again, []
        return again

    async def _look(self) -> list[TimerDelivery]:
        """What is due, claimed. A cancelled call loses nothing: the next one waits for the same claim (T5).

        Raises StoreError.
        """
        room = self._prefetch - len(self._out)
        if self._looking is None:
            if self._draining or room <= 0:
                return []
            self._asked = asyncio.get_running_loop().time()
            self._looking = asyncio.create_task(self._store.claim_timers(self._places, self._owner, room, self._claim))
        try:
            timers = await asyncio.shield(self._looking)
        except StoreError:
            self._looking = None
            raise
        self._looking = None
        self._database.over()
        return self._deliveries(timers)

    def _deliveries(self, timers: Sequence[TimerRow]) -> list[TimerDelivery]:
        if not timers:
            return []
        reached("timer_claimed")
        session = Session()
        asyncio.get_running_loop().call_at(self._asked + self._claim * _BEGUN_IN, _end, session)
        found = [TimerDelivery(self, session, timer, timer.attempt + 1) for timer in timers]
        self._out.update((each.timer.id, each) for each in found)
        return found

    def settled(self, delivery: TimerDelivery, settlement: Settlement, record: Headers) -> None:
        """A delivery has come to its end."""
        match settlement:
            case Settlement.ACCEPTED:
                self._make_room(delivery)
            case Settlement.RETRIED:
                again = TimerDelivery(self, delivery.session, delivery.timer, delivery.attempt + 1)
                self._out[delivery.timer.id] = again
                self._again.append(again)
                self._wake.set()
            case Settlement.REJECTED:
                burial = asyncio.create_task(self._bury(delivery, record))
                self._burials.add(burial)
                burial.add_done_callback(self._burials.discard)
            case Settlement.DELAYED:
                raise AssertionError(delivery)  # where there is a store, attempts wait in it

    def released(self, delivery: TimerDelivery) -> None:
        """A delivery was given back: it comes again when its claim ends, or once this source is closed."""
        self._make_room(delivery)
        self._left = [each for each in (*self._left, delivery) if each.session.taking]

    def _make_room(self, delivery: TimerDelivery) -> None:
        full = len(self._out) >= self._prefetch
        self._out.pop(delivery.timer.id, None)
        if full:
            self._wake.set()

    async def _bury(self, delivery: TimerDelivery, record: Headers) -> None:
        """Moves it to the outbox, however long that takes."""
        letter = to_dead_letter(delivery, record, self._plan)
        while True:
            try:
                async with self._store.transaction() as transaction:
                    await transaction.drop_timers([delivery.timer.id])
                    await transaction.put_outbox([letter])
            except StoreError as error:
                await asyncio.sleep(self._database.failed(error))
            else:
                break
        self._make_room(delivery)
        self._buried()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "draining" if self._draining else "open"
        return f"<TimerSource of {self._plan.group!r}, {state}, {len(self._out)} unsettled>"


def _end(session: Session) -> None:
    """The claim ends soon: what has not begun is another's."""
    session.taking = False
