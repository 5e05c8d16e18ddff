"""How deliveries end where there is a store: after their transaction is committed, each settled, counted and told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from busbridge.errors import StaleDelivery
from busbridge.outbox import TimerDelivery
from busbridge.retry import Reason, words_of
from busbridge.runtime.effects._work import Ended, Fate
from busbridge.runtime.handling._failure import told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._pausing import Pausing
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.transport import Delivery

_log = logging.getLogger("busbridge.handling")


@final
class Endings:
    """Of one subscription."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        publishing: Publishing,
        counts: Counts,
        pausing: Pausing,
        observer: Observer | None,
    ) -> None:
        self._plan = plan
        self._publishing = publishing
        self.counts = counts
        self._pausing = pausing
        self._observer = observer

    def settle(self, ended: Ended) -> None:
        """Tells the broker, once what it stands for is committed. A session that is gone hands it over again."""
        if ended.outgoing:
            self._publishing.committed(ended.outgoing)
        try:
            self._settle(ended)
        except StaleDelivery as stale:
            _log.info("%s: %s", self._plan.group, stale)
            ended.delivery.release()
            if ended.fate is Fate.DEAD:  # its dead letter is not on its way: it will be, when the message comes again
                ended = Ended(ended.delivery, Fate.RELEASED)
        self._count(ended)
        if self._observer is not None:
            error = ended.failure.error if ended.failure else None
            self._observer.ended(self._plan, ended.delivery, ended.fate.value, error)

    def block(self, ended: Ended) -> None:
        """Notes that it has not ended, and waits for its next attempt."""
        self._count(ended)

    def _settle(self, ended: Ended) -> None:
        delivery, failure = ended.delivery, ended.failure
        if ended.fate is Fate.RELEASED:
            delivery.release()
        elif ended.fate is Fate.DEAD and failure is not None and not isinstance(delivery, TimerDelivery):
            delivery.reject(told(failure, delivery, self._plan, ended.attempts))
        else:
            delivery.accept()

    def _count(self, ended: Ended) -> None:
        counts, failure = self.counts, ended.failure
        match ended.fate:
            case Fate.HANDLED:
                counts.handled += 1
            case Fate.DUPLICATE:
                counts.duplicate += 1
            case Fate.RELEASED:
                counts.released += 1
            case Fate.DISCARDED:
                counts.discarded[ended.rule] += 1
            case Fate.SCHEDULED:
                counts.scheduled += 1
                self._log_delay(ended)
                self._failed(ended)
            case Fate.PARKED:
                counts.parked += 1
            case Fate.BLOCKED:
                counts.blocked += 1
                self._log_delay(ended)
                self._failed(ended)
            case Fate.DEAD:
                assert failure is not None
                counts.dead[failure.reason] += 1
                self._log_death(ended)
                self._pausing.failed(failure)

    def _failed(self, ended: Ended) -> None:
        if ended.failure is not None:
            self._pausing.put_off(ended.failure, ended.attempts)

    def _log_delay(self, ended: Ended) -> None:
        if (failure := ended.failure) is not None:
            _log.warning(
                "%s: attempt %d failed, trying again later: %s: %s",
                self._plan.group,
                ended.attempts,
                type(failure.error).__qualname__,
                words_of(failure.error),
            )

    def _log_death(self, ended: Ended) -> None:
        if (failure := ended.failure) is not None:
            _log.error(
                "%s: dead letter (%s) after %d attempts: %s",
                self._plan.group,
                failure.reason.value,
                ended.attempts,
                words_of(failure.error),
                exc_info=failure.error if failure.reason in {Reason.FAILED, Reason.FATAL} else None,
            )

    def abandon(self, ended: Iterable[Ended], error: BaseException) -> None:
        """Their transaction was not committed: what they would have published is not published."""
        for each in ended:
            self._publishing.abandon(each.outgoing, error)

    def release(self, delivery: Delivery, error: BaseException | None) -> None:
        """Gives a delivery back that has not ended: the broker hands it over again."""
        delivery.release()
        self.counts.released += 1
        if self._observer is not None:
            self._observer.ended(self._plan, delivery, Fate.RELEASED.value, error)
