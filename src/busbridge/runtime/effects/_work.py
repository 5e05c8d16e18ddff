"""A delivery that was read and is to be handled with a store, and how it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, final

from busbridge.outbox import Action, Arrival, TimerDelivery
from busbridge.retry import redrive_of
from busbridge.runtime.handling._identity import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.contract import Contract
    from busbridge.envelope import Event
    from busbridge.outbox import Decision
    from busbridge.runtime.handling._dispatch import Bound, Choice
    from busbridge.runtime.handling._failure import Failure
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.store import InboxKey
    from busbridge.transport import Delivery

_FRESH: Final = Arrival()
_FRESH_KEPT: Final = Arrival(kept=True)
"""How nearly every message comes, made once."""


@final
class Work:
    """One message for one handler. The same however often its transaction is begun anew."""

    __slots__ = (
        "_body",
        "_choice",
        "_message",
        "begun",
        "bound",
        "counted",
        "delivery",
        "doubtful",
        "ended",
        "event",
        "failed",
        "kept",
        "key",
        "redrive",
        "suspect",
        "timer",
    )

    def __init__(
        self,
        delivery: Delivery,
        choice: Choice,
        body: bytes,
        message: Contract,
        bound: Bound,
        event: Event,
        key: InboxKey,
    ) -> None:
        self.delivery = delivery
        self.bound = bound
        self.event = event
        self.key = key
        self.timer = delivery.timer if isinstance(delivery, TimerDelivery) else None
        """The timer that brought it; None: a broker did."""
        self.redrive = redrive_of(event.headers) if event.headers else ""
        """The redrive that brought it; empty if none did."""
        self.doubtful = False
        """Whether the handler's `when` has raised: each attempt asks it again."""
        self.kept = False
        """Whether its broker keeps it between its attempts, so that nothing overtakes it."""
        self.suspect = delivery.redelivered
        """Whether somebody may have died of it, so that it is counted before it begins (T7)."""
        self.counted: Decision | None = None
        """What was decided when that was committed."""
        self.begun = 0
        """The last attempt that has called the handler."""
        self.ended = 0
        """The last attempt that has ended in a transaction that was undone."""
        self.failed: Failure | None = None
        """Of an attempt that has ended, and whose transaction was undone: what is written of it in the next one."""
        self._choice = choice
        self._body = body
        self._message: Contract | None = message

    @property
    def identity(self) -> Identity:
        """The same as its key. Made when asked for, which is where an attempt failed, or is to be told apart."""
        return Identity(*self.key)

    @property
    def untouched(self) -> bool:
        """Whether nothing has been tried with it yet."""
        return not self.suspect and self.counted is None and self.failed is None and not self.ended

    @property
    def arrival(self) -> Arrival:
        """How it came."""
        timer, redelivered = self.timer, self.delivery.redelivered
        if self.redrive or timer is not None:
            attempt = 0 if timer is None else timer.attempt
            timed, kept = timer is not None, timer is None and self.kept
            return Arrival(attempt, redelivered=redelivered, timer=timed, kept=kept, redrive=self.redrive)
        if redelivered:
            return Arrival(redelivered=True, kept=self.kept)
        return _FRESH_KEPT if self.kept else _FRESH

    @property
    def alone(self) -> bool:
        """Whether it gets a transaction of its own, so that it takes no other message with it."""
        return self.counted is not None and self.counted.action is Action.ALONE

    @property
    def uncounted(self) -> bool:
        """Whether it must be counted before it may begin."""
        return self.suspect and self.counted is None

    def message(self) -> Contract:
        """The message: read again for each attempt, since a handler may have changed what it was given."""
        message, self._message = self._message, None
        return self._choice.read(self._body) if message is None else message


class Fate(StrEnum):
    """How a delivery ended."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    SCHEDULED = "scheduled"
    PARKED = "parked"
    """It waits in the store, behind others of its key."""
    BLOCKED = "blocked"
    """It has not ended: it waits for its next attempt, and its key with it."""
    DEAD = "dead"
    DISCARDED = "discarded"
    RELEASED = "released"


class Ended(NamedTuple):
    """What became of a delivery, once its transaction is committed."""

    delivery: Delivery
    fate: Fate
    attempts: int = 0
    failure: Failure | None = None
    outgoing: Sequence[Prepared] = ()
    rule: str = ""
    """Of a discarded one."""
    seconds: float = 0.0
    """Until the next attempt of a blocked one."""
