"""What a block publishes, collected: encoded at once, in the outbox when the block has ended, gone if it raised."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from busbridge.errors import ClosedError
from busbridge.outbox import moment, scheduled_id, to_outbox
from busbridge.runtime.publishing._postponed import Postponed, revoked

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Self

    from busbridge.contract import Contract
    from busbridge.outbox import Moment
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.store import OutboxRow, TimerRow, Transaction


@final
class Collected:
    """Takes messages while its block runs. `Bus.outbox` and `BlockingBus.transaction` hand it out."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing
        self._prepared: list[Prepared] = []
        self._later: list[Postponed] = []
        self._taken_back: list[str] = []
        self._ended = False

    def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        """Collects a message to publish; returns its id, which it keeps however often it is sent.

        A plain call. `delay` and `at` as `Bus.publish` takes them. Raises what that raises before anything is sent, and
        ClosedError after the block.
        """
        self._check()
        when = None if delay is None and at is None else moment(delay, at)
        prepared = self._publishing.prepare(
            message, message_id=message_id, correlation_id=correlation_id, headers=headers
        )
        self._prepared.append(prepared if when is None else self._postponed(prepared, when))
        return prepared.id

    def cancel(self, message_id: str) -> None:
        """Takes back a message that this service was to publish later, if the block's transaction is committed.

        A plain call. Nobody tells whether it was in time; `Bus.cancel` does. Raises ClosedError after the block.
        """
        self._check()
        self.revoke(message_id)
        self._taken_back.append(self.timer_id(message_id))

    def _check(self) -> None:
        if self._ended:
            raise ClosedError("the block that published through this object")

    def _postponed(self, prepared: Prepared, when: Moment) -> Postponed:
        postponed = Postponed(prepared, when)
        self._later.append(postponed)
        return postponed

    def revoke(self, message_id: str) -> bool:
        """Takes back what was to be published later, in this block; False: it is none of that."""
        return revoked(self._later, message_id)

    @property
    def postpones(self) -> bool:
        """Whether something is to be published later."""
        return bool(self._later)

    @property
    def taken_back(self) -> Sequence[str]:
        """The ids of the timers to drop, before any are put."""
        return self._taken_back

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._prepared and not self._taken_back

    def timer_id(self, message_id: str) -> str:
        """What the timer is called that keeps a message of this service."""
        return scheduled_id(self._publishing.service, message_id)

    def timers(self, now: float) -> list[TimerRow]:
        """What is to be published later. `now`: the time by the database's clock. Nothing more is taken."""
        self._ended = True
        return [each.timer(self._publishing.service, now) for each in self._later if not each.revoked]

    def rows(self) -> list[OutboxRow]:
        """What was published, for the outbox, in order. Nothing more is taken."""
        self._ended = True
        return [row for each in self._prepared for row in to_outbox(each)]

    async def write(self, transaction: Transaction) -> None:
        """Puts all of it into a transaction of the store. Nothing more is taken."""
        await transaction.put_outbox(self.rows())
        await transaction.drop_timers(self._taken_back)
        if self.postpones:
            await transaction.put_timers(self.timers(await transaction.now()))

    @contextmanager
    def block(self) -> Generator[Self]:
        """Around all that must succeed for the messages to go out."""
        try:
            yield self
        except BaseException as error:
            self.abandon(error)
            raise
        finally:
            self._ended = True

    def abandon(self, error: BaseException) -> None:
        """They do not go out after all."""
        self._publishing.abandon(self._prepared, error)

    def committed(self) -> None:
        """They are the relay's now. On the loop's thread."""
        self._publishing.committed(self._prepared)

    def __repr__(self) -> str:
        return f"<Collected, {len(self._prepared)} messages, {'ended' if self._ended else 'open'}>"
