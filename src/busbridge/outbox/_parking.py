"""Keys that are parked: their messages wait in the store in a line, whose first one a timer brings (T17).

When the first one has ended, the next one is first, in the same transaction: so a key has one timer, and its messages
are handled one after another, whoever takes the timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.envelope import new_id
from busbridge.outbox._rows import to_timer
from busbridge.store import ParkedRow, TimerRow

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.store import Transaction
    from busbridge.transport import Delivery

_FIRST: Final = "parked-"
"""What the ids of timers begin with that bring the first message of a parked key."""


def parking_of(plan: SubscriptionPlan) -> str:
    """What the store calls the subscription."""
    return f"{plan.service}.{plan.name}"


def to_parked(delivery: Delivery, place: str, attempt: int) -> ParkedRow:
    """The row that keeps a delivery's place in the line of its key, which it must have."""
    row = to_timer(delivery, place, 0.0, attempt)
    assert row.key is not None
    return ParkedRow(_parking(place), row.key, place, attempt, row.headers, row.body, row.position)


def to_first(delivery: Delivery, place: str, due: float, attempt: int, since: str = "") -> TimerRow:
    """The timer of a delivery that is the first of its parked key; else as `to_timer`."""
    return _named(to_timer(delivery, place, due, attempt, since))


def is_first(timer: TimerRow) -> bool:
    """Whether it brings the first message of a parked key."""
    return timer.id.startswith(_FIRST)


async def step_on(transaction: Transaction, timer: TimerRow) -> TimerRow | None:
    """Drops the timer of a first message that has ended, and returns that of the next one, which is due now.

    None where the key is parked no more, or where somebody else has done this before. Raises StoreError.
    """
    if timer.key is None or not await transaction.drop_timers([timer.id]):
        return None
    row = await transaction.next_parked(_parking(timer.place), timer.key)
    if row is None:
        return None
    due = await transaction.now()
    return _named(TimerRow("", row.place, due, row.attempt, row.key, row.headers, row.body, row.position))


def _named(row: TimerRow) -> TimerRow:
    return row._replace(id=f"{_FIRST}{new_id()}")


def _parking(place: str) -> str:
    return place.partition("/")[0]
