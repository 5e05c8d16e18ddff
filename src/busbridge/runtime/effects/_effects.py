"""What happens to deliveries where the service has a store: their effects happen once, several in a transaction.

A message's way: read; known to the inbox or not; its handler called; its row, and what it publishes, written with its
effects; committed; only then settled. Whatever ends in between, the message comes again, and the inbox knows how far it
had come.

Nearly all handlers succeed, so a savepoint for each would be a cost for nothing: a transaction begins without. When a
handler fails in it, all of it is undone and done again with savepoints; what had failed is not called again for that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final, TypeVar, final

from busbridge.errors import CommitUnknown, StoreContention, StoreError, StoreUnavailable
from busbridge.outbox import Outage, TimerDelivery, is_first, key_text, parking_of, reached, step_on, to_dead_letter
from busbridge.retry import Reason
from busbridge.runtime.effects._attempts import Undone
from busbridge.runtime.effects._begun import Begun
from busbridge.runtime.effects._caution import Caution
from busbridge.runtime.effects._shared_session import SharedSession
from busbridge.runtime.effects._unit import Unit
from busbridge.runtime.effects._work import Ended, Fate, Work
from busbridge.runtime.handling._aside import Aside
from busbridge.runtime.handling._failure import Failure, told
from busbridge.runtime.handling._lanes import not_at_work
from busbridge.runtime.handling._pace import Stint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from busbridge.outbox import Relay, TimerSource
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.effects._attempts import Attempts
    from busbridge.runtime.effects._endings import Endings
    from busbridge.runtime.effects._intake import Intake
    from busbridge.runtime.effects._outbox_gate import Entrance, OutboxGate
    from busbridge.runtime.effects._unit import Between
    from busbridge.runtime.handling._lanes import Wait
    from busbridge.runtime.handling._pace import Pace
    from busbridge.runtime.handling._pausing import Pausing
    from busbridge.store import Store, Transaction
    from busbridge.transport import Delivery

T = TypeVar("T")

_log = logging.getLogger("busbridge.handling")

_MEETINGS: Final = 10
"""How often a message alone may meet another transaction before that counts as an attempt that failed."""
_LONGEST_WAIT: Final = 0.5
"""Seconds before its transaction is begun anew, at most."""
_LAST_WORDS: Final = 2.0
"""Seconds that the database has, at a stop, to hear what was given back."""


def _nothing() -> None: ...


async def _stand_back(met: int) -> None:
    """Lets another transaction go first, for longer the more often one was met."""
    await asyncio.sleep(random.uniform(0, _LONGEST_WAIT * met / _MEETINGS))  # noqa: S311 - jitter


@final
class Effects:
    """The pipeline of one subscription. `handle` is called by its lanes; `finish` when they have ended."""

    def __init__(
        self,
        store: Store,
        plan: SubscriptionPlan,
        intake: Intake,
        attempts: Attempts,
        endings: Endings,
        relay: Relay,
        timers: TimerSource | None,
        pace: Pace,
        pausing: Pausing,
        gate: OutboxGate,
        entrance: Entrance,
        *,
        between: Between = random.uniform,
    ) -> None:
        """`between` draws the jitter of delays."""
        self.counts = endings.counts
        self.pace = pace
        self._pausing = pausing
        self._gate = gate
        self._entrance = entrance
        self._failures = pausing.at_once
        self._store = store
        self._plan = plan
        self._intake = intake
        self._attempts = attempts
        self._endings = endings
        self._relay = relay
        self._timers = timers
        self._between = between
        self._begun = Begun(store)
        self._caution = Caution()
        self._suspect = asyncio.Lock()
        self._aside = Aside()
        self._unbegun: dict[Delivery, Work] = {}
        """What was read and given back to its lane, for lack of time: not read again when its turn comes."""
        self.wait: Wait = not_at_work
        """Where deliveries wait for their next attempt: that of its lanes, given before the first one comes."""
        self._database = Outage(_log, f"{plan.group} waits for its store")

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Handles deliveries in their order; returns those at the end that have not begun, when time is up.

        The others are settled or released. What it raises ends the process or this lane; nothing is settled then that
        is not committed.
        """
        reached("received")
        held = dict.fromkeys(deliveries)
        try:
            if self._entrance.closed:
                await self._admit(held)
            rest = self._aside.wait(await self._handle(held), held, self.wait)
            if self._begun.owes:
                await self._take_back()
        except BaseException as error:
            self._aside.forget(held)
            for each in held:
                self.release(each, error)
            raise
        return await self._rested(rest) if self._pausing.paused else rest

    async def _admit(self, held: dict[Delivery, None]) -> None:
        """Waits until the outbox has room. What may not begin any more is given back meanwhile."""
        while held and self._entrance.closed:
            for each in self._entrance.refused(held):
                del held[each]
                self.release(each)
            if held:
                await self._entrance.turned()

    async def _rested(self, waiting: list[Delivery]) -> list[Delivery]:
        """What waits, once this lane may try one of it; nothing, where it is told to stop."""
        goes_on = False
        try:
            goes_on = await self._pausing.rest()
        finally:
            if not goes_on:
                for each in waiting:
                    self.release(each)
        self.pace.limit = 1
        return waiting if goes_on else []

    def release(self, delivery: Delivery, error: BaseException | None = None) -> None:
        """Gives a delivery back that has not ended: the broker hands it over again."""
        self._unbegun.pop(delivery, None)
        self._begun.given_back(delivery)
        self._aside.ended(delivery)
        self._endings.release(delivery, error)

    async def finish(self) -> None:
        """Takes back what was counted of messages that were given back, so that a stop is no crash."""
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await self._begun.tell()
        except (StoreError, TimeoutError) as error:
            _log.warning("%s: messages that were given back count as crashed: %s", self._plan.group, error)

    async def _take_back(self) -> None:
        """As `finish`, while it works: a rebalance is no crash either. What fails now is done the next time."""
        with suppress(StoreError):
            await self._begun.tell()

    async def _handle(self, held: dict[Delivery, None]) -> list[Delivery]:
        works = await self._read(held)
        while works:
            await self._count([work for work in works if work.uncounted])
            if group := list(takewhile(_may_join_others, works)):
                rest = await self._together(group, held)
            else:
                group = works[:1]
                rest = await self._by_itself(works[0], held)
            works = rest + works[len(group) :]
            if (rest and not rest[0].uncounted) or self._pausing.paused:
                break
        self._unbegun.update((work.delivery, work) for work in works if work.untouched)
        return [work.delivery for work in works]

    async def _read(self, held: dict[Delivery, None]) -> list[Work]:
        works: list[Work] = []
        for delivery in list(held):
            read = self._unbegun.pop(delivery, None) or self._intake.read(delivery)
            if isinstance(read, Work):
                self._begun.recall(read)
                works.append(read)
            else:
                await self._dismiss(read)
                self._end(read, held)
        return works

    async def _dismiss(self, ended: Ended) -> None:
        """What came by a timer and no handler takes: nobody but the store holds it."""
        if isinstance(ended.delivery, TimerDelivery):
            await self._patiently(partial(self._drop, ended.delivery, ended.failure))

    async def _drop(self, delivery: TimerDelivery, failure: Failure | None) -> None:
        async with self._store.transaction() as transaction:
            if failure is not None:
                record = told(failure, delivery, self._plan, delivery.timer.attempt)
                await transaction.put_outbox([to_dead_letter(delivery, record, self._plan)])
            following = await step_on(transaction, delivery.timer) if is_first(delivery.timer) else None
            await transaction.put_timers([following] if following else [])
            await transaction.drop_timers([delivery.timer.id])

    async def _by_itself(self, work: Work, held: dict[Delivery, None]) -> list[Work]:
        """One that may kill the process: nothing else that may is counted meanwhile, in no lane."""
        async with self._suspect:
            if work.uncounted:
                await self._count([work], alone=True)
            return await self._together([work], held)

    async def _count(self, works: list[Work], *, alone: bool = False) -> None:
        while works:
            try:
                await self._patiently(partial(self._begun.count, works, alone=alone))
            except StoreContention:
                await _stand_back(_MEETINGS)
            else:
                return

    async def _together(self, works: list[Work], held: dict[Delivery, None]) -> list[Work]:
        """All in one transaction, or message by message where that can't be; returns those that have not begun."""
        try:
            with suppress(Undone):
                return await self._committed(works, held, bare=self._caution.bare(works))
            self._caution.failed()
            return await self._committed(works, held)
        except StoreError as error:
            if len(works) == 1:
                return await self._insist(works[0], error, held)
            if isinstance(error, StoreContention):
                self.pace.met()
            _log.info("%s: a transaction of %d messages is begun anew: %s", self._plan.group, len(works), error)
        for index, work in enumerate(works):
            if await self._together([work], held):
                return works[index:]
        return []

    async def _insist(self, work: Work, error: StoreError, held: dict[Delivery, None]) -> list[Work]:
        """One whose transaction failed: begun anew while others are in the way, which is no attempt; then it is one.

        Raises StoreError where it fails without a handler's doing: nothing can be written then, of this or any other.
        """
        met = 1
        while isinstance(error, StoreContention) and met < _MEETINGS:
            await _stand_back(met)
            try:
                return await self._committed([work], held)
            except StoreError as again:
                error, met = again, met + 1
        ended = work.begun
        while True:
            work.failed, work.ended = Failure(Reason.FAILED, error, final=False), ended
            try:
                return await self._committed([work], held)
            except StoreContention:  # in the end what is written is its row alone
                await _stand_back(_MEETINGS)
            except StoreError as again:  # the attempt that has followed at once has broken its transaction too
                if work.begun <= ended:
                    raise
                error, ended = again, work.begun

    async def _committed(self, works: list[Work], held: dict[Delivery, None], *, bare: bool = False) -> list[Work]:
        """One transaction, and the settlements that follow; waits for a database that is away.

        Raises Undone where it is `bare` and a handler has failed.
        """
        transact = partial(self._transact, works, bare=bare)
        unit, rest = await self._patiently(transact, partial(self._let_go, works, held))
        reached("before_settle")
        for ended in unit.ended:
            self._end(ended, held)
        self._aside.line_up(unit.behind)
        if published := len(unit.inserted.rows):
            self._relay.inserted(unit.inserted)
            self._gate.filled(published)
        if self._timers is not None:
            for seconds in unit.delays:
                self._timers.expect(seconds)
        return rest

    async def _transact(self, works: list[Work], *, bare: bool) -> tuple[Unit, list[Work]]:
        unit: Unit | None = None
        try:
            async with self._store.transaction() as transaction:
                rows = await transaction.inbox(work.key for work in works)
                parked = await self._parked(transaction, works)
                shared = SharedSession(transaction.connection) if bare else None
                unit = Unit(transaction, rows, self._plan, self._attempts, self._between, self._aside, parked, shared)
                reached("in_transaction")
                rest = await self._fill(unit, works)
                await unit.write()
                reached("before_commit")
        except BaseException as error:
            if unit is not None:
                self._endings.abandon(unit.ended, error)
            if isinstance(error, CommitUnknown):  # perhaps there is something for it
                self._relay.poke()
            raise
        reached("after_commit")
        return unit, rest

    async def _parked(self, transaction: Transaction, works: list[Work]) -> Collection[str]:
        """The keys of these messages that are parked."""
        if not self._plan.parks:
            return ()
        keys = {key for work in works if work.kept and (key := key_text(work.delivery.key)) is not None}
        return await transaction.parked(parking_of(self._plan), keys)

    async def _fill(self, unit: Unit, works: list[Work]) -> list[Work]:
        """Takes messages until the time is up, or one must be counted first; returns the rest."""
        stint = Stint(self.pace)
        try:
            for work in works:
                if stint.over or unit.failures >= self._failures:
                    break
                if not work.delivery.session.taking:
                    unit.release(work)
                elif not await unit.take(work):
                    work.suspect = True
                    break
                stint.done += 1
        finally:
            stint.end(unit.waited)
        return works[stint.done :]

    def _let_go(self, works: list[Work], held: dict[Delivery, None]) -> None:
        """Those that may not begin any more are somebody else's, who need not wait for this process's database."""
        for work in works:
            if not work.delivery.session.taking:
                self._end(Ended(work.delivery, Fate.RELEASED), held)

    def _end(self, ended: Ended, held: dict[Delivery, None]) -> None:
        if ended.delivery not in held:  # let go before
            return
        if ended.fate is Fate.BLOCKED:  # held still: it has not ended
            self._begun.ended(ended.delivery)
            self._endings.block(ended)
            self._aside.add(ended.delivery, ended.seconds)
            return
        del held[ended.delivery]
        self._aside.ended(ended.delivery)
        if ended.fate is Fate.RELEASED:
            self._begun.given_back(ended.delivery)
        else:
            self._begun.ended(ended.delivery)
        self._endings.settle(ended)

    async def _patiently(self, work: Callable[[], Awaitable[T]], meanwhile: Callable[[], None] = _nothing) -> T:
        """What `work` returns, once the database is there. COMMIT may have had its answer lost: the inbox will tell."""
        while True:
            try:
                result = await work()
            except StoreUnavailable as error:
                await asyncio.sleep(self._database.failed(error))
                meanwhile()
            else:
                self._database.over()
                return result


def _may_join_others(work: Work) -> bool:
    return not (work.alone or work.uncounted)
