"""Messages of which somebody may die: that they run is committed before their handler begins (T7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.outbox import Action, decide
from busbridge.store import InboxRow, InboxState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busbridge.outbox import Decision
    from busbridge.runtime.effects._work import Work
    from busbridge.store import InboxKey, Store
    from busbridge.transport import Delivery


@final
class Begun:
    """Those that one subscription has in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counted: dict[Delivery, tuple[InboxKey, Decision]] = {}
        self._given_back: list[tuple[InboxKey, Decision]] = []

    async def count(self, works: Sequence[Work], *, alone: bool = False) -> None:
        """Commits that `works` run. Raises StoreError.

        Those that ran before and never ended stay uncounted: with `alone` they are counted too, a crash more each. That
        is for one at a time, right before it begins, or others would be blamed for what it does.
        """
        countable = {Action.COUNT, Action.ALONE} if alone else {Action.COUNT}
        decisions: dict[InboxKey, Decision] = {}
        waiting: set[InboxKey] = set()
        async with self._store.transaction() as transaction:
            rows = await transaction.inbox(work.key for work in works)
            ours = dict((*self._given_back, *self._counted.values()))
            for work in works:
                decision = _decision(rows.get(work.key), work, ours.get(work.key))
                if decision.action in countable:
                    decisions.setdefault(work.key, decision)
                elif decision.action is Action.ALONE:
                    waiting.add(work.key)
            await transaction.put_inbox(_running(key, each, each.crashes) for key, each in decisions.items())
            self._remember(works, decisions)  # before anybody else in this process can read it
        for work in works:
            work.counted = decisions.get(work.key)
            work.suspect = work.counted is not None or work.key in waiting

    def _remember(self, works: Sequence[Work], decisions: Mapping[InboxKey, Decision]) -> None:
        self._given_back = [each for each in self._given_back if each[0] not in decisions]
        for work in works:
            if (decision := decisions.get(work.key)) is not None:
                self._counted[work.delivery] = (work.key, decision)

    def recall(self, work: Work) -> None:
        """A message that was counted and put back in its line has not begun once more."""
        if (counted := self._counted.get(work.delivery)) is not None:
            work.counted = counted[1]

    def ended(self, delivery: Delivery) -> None:
        """It has come to its end: its row says so."""
        self._counted.pop(delivery, None)

    def given_back(self, delivery: Delivery) -> None:
        """It has not ended, and nobody has died: `tell` takes back what was counted."""
        if (counted := self._counted.pop(delivery, None)) is not None:
            self._given_back.append(counted)

    @property
    def owes(self) -> bool:
        """Whether `tell` has something to take back."""
        return bool(self._given_back)

    async def tell(self) -> None:
        """Takes back what was counted of messages that were given back since. Raises StoreError; may be repeated."""
        if not self._given_back:
            return
        counted = dict(self._given_back)
        async with self._store.transaction() as transaction:
            rows = await transaction.inbox(counted)
            untouched = [key for key, row in rows.items() if _is_as_counted(row, counted[key])]
            # One crash less than the next look at a running row will find, so that it finds as many as there were.
            await transaction.put_inbox(_running(key, counted[key], counted[key].crashes - 1) for key in untouched)
        self._given_back = [each for each in self._given_back if each[0] not in counted]


def _decision(row: InboxRow | None, work: Work, ours: Decision | None) -> Decision:
    """What to do with `work`. Where this process has counted it already, and lives, that was no crash.

    It has another copy of the message in a lane, or had it and gave it back.
    """
    found = decide(row, work.arrival)
    began = found.action in {Action.ALONE, Action.CRASHED}
    return ours if began and ours is not None and row is not None and _is_as_counted(row, ours) else found


def _running(key: InboxKey, decision: Decision, crashes: int) -> InboxRow:
    return InboxRow(key, InboxState.RUNNING, decision.ended, crashes, decision.redrive)


def _is_as_counted(row: InboxRow, decision: Decision) -> bool:
    """Whether nobody has gone on with the message meanwhile."""
    known = (row.attempt, row.crashes, row.redrive)
    return row.state is InboxState.RUNNING and known == (decision.ended, decision.crashes, decision.redrive)
