"""What one transaction holds: the effects of some messages, and everything that is committed with them (R1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import BusbridgeError, StoreContention, StoreUnavailable
from busbridge.outbox import (
    Action,
    Inserted,
    Leaving,
    decide,
    is_first,
    key_text,
    step_on,
    to_dead_letter,
    to_first,
    to_leave,
    to_parked,
    to_timer,
)
from busbridge.retry import Reason, pause
from busbridge.routing import LONGEST_BLOCK, OnFailure
from busbridge.runtime.effects._attempts import Undone
from busbridge.runtime.effects._work import Ended, Fate
from busbridge.runtime.handling._dispatch import Discarded
from busbridge.runtime.handling._failure import Failure, told
from busbridge.store import InboxRow, InboxState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from busbridge.outbox import Decision
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.effects._attempts import Attempts
    from busbridge.runtime.effects._shared_session import SharedSession
    from busbridge.runtime.effects._work import Work
    from busbridge.runtime.handling._aside import Aside
    from busbridge.store import InboxKey, ParkedRow, TimerRow, Transaction
    from busbridge.transport import Delivery

    Between = Callable[[float, float], float]
    """Draws a number between two."""


@final
class Unit:
    """Takes messages one after another, then writes what is known of all of them in a few statements.

    What it says in `ended` is true once the transaction is committed.
    """

    def __init__(
        self,
        transaction: Transaction,
        rows: dict[InboxKey, InboxRow],
        plan: SubscriptionPlan,
        attempts: Attempts,
        between: Between,
        aside: Aside,
        parked: Collection[str],
        shared: SharedSession | None = None,
    ) -> None:
        """`aside`, `parked`: keys that wait, here and in the store.

        `shared`: no handler is called in a savepoint; one that fails raises Undone.
        """
        self.ended: list[Ended] = []
        self.behind: list[Delivery] = []
        """Those whose keys wait: they have not begun."""
        self.failures = 0
        """Messages that failed, one after another, at the end of those so far."""
        self.delays: list[float] = []
        """Seconds until the timers are due that it has set."""
        self.inserted = Inserted((), None)
        """Its rows for the relay."""
        self._transaction = transaction
        self._rows = rows
        self._plan = plan
        self._attempts = attempts
        self._between = between
        self._shared = shared
        self._waiting = aside
        self._aside = set(aside.keys)
        self._parked: set[str | None] = set(parked)
        self._lined_up: list[ParkedRow] = []
        self._firsts: list[TimerRow] = []
        self._changed: dict[InboxKey, InboxRow] = {}
        self._outbox: list[Leaving] = []
        self._timers: list[TimerRow] = []
        self._past: list[str] = []

    async def take(self, work: Work) -> bool:
        """Brings a message to its end here. False, and nothing done, where it must be counted first."""
        if self._aside and work.delivery.key in self._aside:
            self.behind.append(work.delivery)
            return True
        decision = self._decision(work)
        match decision.action:
            case Action.HANDLE | Action.COUNT | Action.ALONE:
                if self._parked and work.kept and key_text(work.delivery.key) in self._parked:
                    self._line_up(work, decision)
                    return True
                if decision.action is not Action.HANDLE and work.counted is None:
                    return False
                await self._handle(work, decision)
            case Action.DUPLICATE:
                self._end(work, Ended(work.delivery, Fate.DUPLICATE))
            case Action.CRASHED:
                self._die(work, _crashed(decision), decision.ended, decision.crashes)
            case Action.BURY:
                self._die(work, _forgotten(), decision.ended, decision.crashes)
        return True

    def release(self, work: Work) -> None:
        """It has not begun, and may not begin any more."""
        self.ended.append(Ended(work.delivery, Fate.RELEASED))

    async def write(self) -> None:
        """What handlers have left in their session; then inbox, outbox, timers and what is parked, each set-based.

        Raises Undone where the database refuses something of theirs.
        """
        await self._write_left()
        await self._transaction.put_inbox(self._changed.values())
        last = await self._transaction.put_outbox([each.row for each in self._outbox])
        self.inserted = Inserted(self._outbox, last)
        await self._transaction.put_parked(self._lined_up)
        for each in self._firsts:
            if (following := await step_on(self._transaction, each)) is not None:
                self._timers.append(following)
                self.delays.append(0.0)
        await self._transaction.put_timers(self._timers)
        await self._transaction.drop_timers(self._past)

    async def _write_left(self) -> None:
        if self._shared is None:
            return
        try:
            await self._shared.write()
            await self._shared.close()
        except Exception as error:  # also what the user's own mapping raises
            ours = self._attempts.told(error)
            raise ours if isinstance(ours, StoreContention | StoreUnavailable) else Undone from error

    def _decision(self, work: Work) -> Decision:
        row = self._rows.get(work.key)
        if work.counted is not None and row is not None and row.state is InboxState.RUNNING:
            return work.counted
        return decide(row, work.arrival)

    async def _handle(self, work: Work, decision: Decision) -> None:
        try:
            made = await self._attempts.make(work, decision.ended, self._transaction, self._shared)
        except Discarded as found:
            self._know(work, InboxState.HANDLED, decision.ended, decision.crashes)
            self._end(work, Ended(work.delivery, Fate.DISCARDED, rule=found.rule))
            return
        if made.cut:
            self.release(work)
        elif made.failure is None:
            self._know(work, InboxState.HANDLED, made.ended, decision.crashes)
            for each in made.outgoing:
                self._outbox += to_leave(each)
            self._end(work, Ended(work.delivery, Fate.HANDLED, made.ended, outgoing=made.outgoing))
        elif made.failure.final or made.ended >= self._plan.retry.attempts:
            self._die(work, made.failure, made.ended, decision.crashes)
        elif work.kept:
            await self._wait(work, made.ended, made.failure, decision.crashes)
        else:
            await self._put_off(work, made.ended, made.failure, decision.crashes)

    async def _put_off(self, work: Work, ended: int, failure: Failure, crashes: int) -> None:
        parked = work.kept or (work.timer is not None and is_first(work.timer))
        timer = to_first if parked else to_timer
        seconds = pause(self._plan.retry, ended, failure.after, self._between)
        due = await self._transaction.now() + seconds
        self._timers.append(timer(work.delivery, work.identity.place, due, ended, failure.since))
        self.delays.append(seconds)
        self._know(work, InboxState.SCHEDULED, ended, crashes)
        self._end(work, Ended(work.delivery, Fate.SCHEDULED, ended, failure))

    async def _wait(self, work: Work, ended: int, failure: Failure, crashes: int) -> None:
        """Its key waits with it: here, or in the store."""
        seconds = pause(self._plan.retry, ended, failure.after, self._between)
        if self._parks(work, seconds):
            self._parked.add(key_text(work.delivery.key))
            self._lined_up.append(to_parked(work.delivery, work.identity.place, ended))
            await self._put_off(work, ended, failure, crashes)
            return
        self._aside.add(work.delivery.key)
        self._know(work, InboxState.BLOCKED, ended, crashes)
        blocked = min(seconds, LONGEST_BLOCK)
        self._end(work, Ended(work.delivery, Fate.BLOCKED, ended, failure, seconds=blocked))

    def _parks(self, work: Work, seconds: float) -> bool:
        if not self._plan.parks:
            return False
        so_far = self._waiting.blocked_for(work.delivery)
        return self._plan.on_failure is OnFailure.PARK_KEY or so_far + seconds > LONGEST_BLOCK

    def _line_up(self, work: Work, decision: Decision) -> None:
        """Its key is parked: it waits behind those that were there before."""
        self._lined_up.append(to_parked(work.delivery, work.identity.place, decision.ended))
        self._know(work, InboxState.SCHEDULED, decision.ended, decision.crashes)
        self._end(work, Ended(work.delivery, Fate.PARKED))

    def _die(self, work: Work, failure: Failure, attempts: int, crashes: int) -> None:
        self._know(work, InboxState.DEAD, attempts, crashes)
        if work.timer is not None:  # no broker holds it: its dead letter is committed with its end
            record = told(failure, work.delivery, self._plan, attempts)
            self._outbox.append(Leaving(to_dead_letter(work.delivery, record, self._plan)))
        self._end(work, Ended(work.delivery, Fate.DEAD, attempts, failure))

    def _know(self, work: Work, state: InboxState, attempts: int, crashes: int) -> None:
        row = InboxRow(work.key, state, attempts, crashes, work.redrive)
        self._rows[work.key] = self._changed[work.key] = row

    def _end(self, work: Work, ended: Ended) -> None:
        if work.timer is not None:
            if is_first(work.timer) and ended.fate is not Fate.SCHEDULED:
                self._firsts.append(work.timer)
            else:
                self._past.append(work.timer.id)
        if ended.fate is not Fate.PARKED:
            self.failures = self.failures + 1 if ended.failure is not None else 0
        self.ended.append(ended)

    @property
    def waited(self) -> float:
        """Seconds that handlers have waited for the database."""
        return self._transaction.waited


def _crashed(decision: Decision) -> Failure:
    error = BusbridgeError(f"{decision.crashes} processes died while they handled it")
    return Failure(Reason.CRASHED, error, final=True)


def _forgotten() -> Failure:
    """Of a message that is known to be dead and that a broker still has: its dead letter may never have come to be."""
    return Failure(Reason.FAILED, BusbridgeError("it had failed before, as the log of that time says"), final=True)
