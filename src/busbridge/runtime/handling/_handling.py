"""What happens to one delivery: read, handled, its consequences published, settled. Every way it can end is here."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, final

from busbridge.errors import (
    InvalidEnvelope,
    InvalidMessage,
    NotHandled,
    StaleDelivery,
    UnknownContract,
    UnknownVersion,
)
from busbridge.retry import Reason, pause, put_off_headers, words_of
from busbridge.routing import LONGEST_BLOCK, Others
from busbridge.runtime.handling._context import LiveContext, Surroundings
from busbridge.runtime.handling._counts import Counts
from busbridge.runtime.handling._dispatch import Discarded, taker
from busbridge.runtime.handling._failure import UNREADABLE, Failure, failure_of, since_first, told
from busbridge.runtime.handling._lanes import not_at_work
from busbridge.runtime.handling._pausing import Pausing
from busbridge.runtime.publishing._outcomes import PublishError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.contract import Contract
    from busbridge.errors import MessageRefused
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Bound, Choice, Dispatcher
    from busbridge.runtime.handling._lanes import Wait
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Delivery

    Enclose = Callable[[Delivery, Sequence[Prepared], int], None]

_log = logging.getLogger("busbridge.handling")


@final
class Handling:
    """The pipeline of one subscription. `handle` is called by its lanes, and always settles or releases."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        dispatcher: Dispatcher,
        publishing: Publishing,
        resources: Any,
        system: str,
        tracing: Tracing | None,
        observer: Observer | None,
        enclose: Enclose | None = None,
    ) -> None:
        """`enclose` takes what a handler published, to publish it when its delivery is settled."""
        self._enclose = enclose
        self.counts = Counts()
        self.pausing = Pausing(plan, self.counts)
        self._system = system
        self._plan = plan
        self._choose = dispatcher.choose
        self._publishing = publishing
        self._surroundings = Surroundings(plan, publishing, resources)
        self._tracing = tracing
        self._observer = observer
        self.wait: Wait = not_at_work
        """Where deliveries wait for their next attempt: that of its lanes, given before the first one comes."""

    async def handle(self, delivery: Delivery) -> None:
        """Handles one delivery to its end. What it raises ends the process or this lane; the delivery is released."""
        try:
            reading = self._read(delivery)
            if reading is None:
                return
            choice, body, message = reading
            bound = choice.only
            if bound is None or bound.plain is None or self._tracing is not None:
                failure = await self._attempt(choice, message, delivery, delivery.attempt)
                if failure is None:
                    return
            else:  # the most common handler by far, without what only others need
                try:
                    await bound.plain(message)
                except BaseException as error:  # noqa: BLE001 - `failure_of` lets through what is no failure
                    failure = failure_of(error, bound)
                else:
                    self._accept(delivery)
                    return
            await self._go_on(choice, body, delivery, failure)
        except StaleDelivery as error:
            _log.info("%s: %s", self._plan.group, error)
            self.release(delivery, error)
        except BaseException as error:
            self.release(delivery, error)
            raise
        await self.pausing.rest()

    def _read(self, delivery: Delivery) -> tuple[Choice, bytes, Contract] | None:
        """The message, with what it was read from and by; None where it can't be handled here, and was settled."""
        try:
            choice, body = self._choose(delivery)
            return choice, body, choice.read(body)
        except (UnknownContract, NotHandled) as error:
            self._not_handled(delivery, error)
        except (InvalidEnvelope, InvalidMessage, UnknownVersion) as error:
            self._bury(delivery, Failure(UNREADABLE[type(error)], error, final=True), attempts=0)
        return None

    async def _go_on(self, choice: Choice, body: bytes, delivery: Delivery, first: Failure) -> None:
        """What follows on a first attempt that failed: more of them, until one succeeds or none is left."""
        attempt = delivery.attempt
        failure: Failure | None = first
        while failure is not None:
            if failure.final or attempt >= self._plan.attempts:
                self._bury(delivery, failure, attempt)
                return
            if (tier := self._tier(failure, attempt)) is not None:
                self._put_off(delivery, failure, attempt, tier)
                return
            if not delivery.session.taking:  # the next attempt is somebody else's
                self.release(delivery, failure.error)
                return
            seconds = min(pause(self._plan.retry, attempt, failure.after, random.uniform), LONGEST_BLOCK)
            self._say(failure, attempt, seconds)
            attempt += 1
            self.counts.repeated += 1
            if seconds:
                self._keep(delivery, failure, attempt, seconds)
                return
            message = choice.read(body)  # the handler may have changed what it was given
            latest = await self._attempt(choice, message, delivery, attempt)
            failure = None if latest is None else since_first(first, latest)

    def _keep(self, delivery: Delivery, failure: Failure, attempt: int, seconds: float) -> None:
        """Lets the delivery wait for its next attempt; where there is order, its key waits with it."""
        delivery.attempt = attempt
        self.counts.blocked += self._plan.ordered
        self.pausing.put_off(failure, attempt - 1)
        self.wait([delivery], seconds)

    def _say(self, failure: Failure, attempt: int, seconds: float) -> None:
        _log.warning(
            "%s: attempt %d failed, trying again%s: %s: %s",
            self._plan.group,
            attempt,
            f" in {seconds:.3g} s" if seconds else "",
            type(failure.error).__qualname__,
            words_of(failure.error),
        )

    async def _attempt(self, choice: Choice, message: Contract, delivery: Delivery, attempt: int) -> Failure | None:
        try:
            bound = choice.only or taker(choice, message)
        except Discarded as found:
            self._discard(delivery, found.rule)
            return None
        except Exception as error:  # noqa: BLE001 - a `when` is the user's, and its errors are attempts that failed
            return Failure(Reason.FAILED, error, final=False)
        if bound is None:
            self._discard(delivery, "filtered")
            return None
        context: LiveContext[Any] = LiveContext(self._surroundings, delivery, message, attempt, bound)
        try:
            if self._tracing is None:
                await bound.call(message, context)
            else:
                await self._traced(self._tracing, bound, message, context, delivery)
        except BaseException as error:  # noqa: BLE001 - `failure_of` lets through what is no failure
            self._publishing.abandon(context.outgoing, error)
            return failure_of(error, bound)
        finally:
            context.ended = True
        if context.outgoing and self._enclose is not None:
            self._enclose(delivery, context.outgoing, attempt)
        elif context.outgoing:
            try:
                await self._publishing.send_until_confirmed(context.outgoing)
            except PublishError as error:
                return Failure(Reason.PUBLISH_REFUSED, error, final=True)
        self._accept(delivery)
        return None

    async def _traced(
        self, tracing: Tracing, bound: Bound, message: Contract, context: LiveContext[Any], delivery: Delivery
    ) -> None:
        with tracing.handling(
            delivery.headers,
            self._system,
            self._plan.destination.physical,
            self._plan.group,
            message_id=context.message_id,
            correlation_id=context.correlation_id,
        ):
            await bound.call(message, context)

    def _accept(self, delivery: Delivery) -> None:
        delivery.accept()
        self.counts.handled += 1
        if self._observer is not None:
            self._observer.ended(self._plan, delivery, "handled", None)

    def _discard(self, delivery: Delivery, rule: str) -> None:
        delivery.accept()
        self.counts.discarded[rule] += 1
        self._observe(delivery, "discarded", None)

    def _not_handled(self, delivery: Delivery, error: UnknownContract | NotHandled) -> None:
        if self._plan.others is Others.DISCARD:
            self._discard(delivery, "not_handled")
        else:
            self._bury(delivery, Failure(UNREADABLE[type(error)], error, final=True), attempts=0)

    def _bury(self, delivery: Delivery, failure: Failure, attempts: int) -> None:
        delivery.reject(told(failure, delivery, self._plan, attempts))
        self.counts.dead[failure.reason] += 1
        self.pausing.failed(failure)
        trace = failure.error if failure.reason in {Reason.FAILED, Reason.FATAL} else None
        _log.error(
            "%s: dead letter (%s) after %d attempts: %s",
            self._plan.group,
            failure.reason.value,
            attempts,
            words_of(failure.error),
            exc_info=trace,
        )
        self._observe(delivery, "dead", failure.error)

    def _tier(self, failure: Failure, attempts: int) -> int | None:
        """Where the next attempt waits at the broker; None: it is made here."""
        retry = self._plan.retry
        if not retry.tiers:
            return None
        if failure.after:
            return retry.tier_for(failure.after)
        return retry.tier(attempts - retry.immediate + 1) if attempts >= retry.immediate else None

    def _put_off(self, delivery: Delivery, failure: Failure, attempts: int, tier: int) -> None:
        delivery.later(tier, attempts, put_off_headers(delivery.headers))
        self.counts.scheduled += 1
        self.pausing.put_off(failure, attempts)
        self._say(failure, attempts, self._plan.retry.tiers[tier])
        self._observe(delivery, "scheduled", failure.error)

    def refused(self, delivery: Delivery, error: MessageRefused, attempts: int) -> None:
        """What a handler published and `enclose` took is refused for good: a dead letter of what counted as handled."""
        self.counts.handled -= 1
        self._bury(delivery, Failure(Reason.PUBLISH_REFUSED, error, final=True), attempts)

    def release(self, delivery: Delivery, error: BaseException | None = None) -> None:
        """Gives a delivery back that is not settled: the broker hands it over again."""
        delivery.release()
        self.counts.released += 1
        self._observe(delivery, "released", error)

    def _observe(self, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        if self._observer is not None:
            self._observer.ended(self._plan, delivery, fate, error)
