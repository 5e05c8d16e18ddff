"""Calls of a handler inside a transaction: those that follow at once, each in a savepoint or, once, in none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, final

from sqlalchemy.exc import DBAPIError

from busbridge.errors import StoreContention, StoreError, StoreUnavailable
from busbridge.retry import Reason, words_of
from busbridge.runtime.effects._store_context import StoreContext
from busbridge.runtime.handling._context import Surroundings
from busbridge.runtime.handling._dispatch import Discarded, discard
from busbridge.runtime.handling._failure import Failure, failure_of, since_first
from busbridge.runtime.handling._rules import takes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from busbridge.contract import Contract
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.effects._shared_session import SharedSession
    from busbridge.runtime.effects._work import Work
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._dispatch import Bound
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.store import Store, Transaction
    from busbridge.telemetry.tracing import Tracing

_log = logging.getLogger("busbridge.handling")


class Attempted(NamedTuple):
    """What came of the attempts that follow each other at once."""

    ended: int
    """Attempts of this message that have ended, now and before."""
    failure: Failure | None
    """Of the last one; None: it succeeded."""
    outgoing: Sequence[Prepared] = ()
    cut: bool = False
    """The next attempt is somebody else's: the session takes no more."""


@final
class Undone(Exception):
    """A handler failed outside of a savepoint: everything in its transaction is to be undone with it."""


@final
class Attempts:
    """Calls the handlers of one subscription."""

    def __init__(
        self,
        store: Store,
        plan: SubscriptionPlan,
        publishing: Publishing,
        resources: Any,
        system: str,
        tracing: Tracing | None,
        counts: Counts,
    ) -> None:
        self._store = store
        self._plan = plan
        self._publishing = publishing
        self._surroundings = Surroundings(plan, publishing, resources)
        self._system = system
        self._tracing = tracing
        self._counts = counts

    async def make(self, work: Work, ended: int, transaction: Transaction, shared: SharedSession | None) -> Attempted:
        """Calls the handler until it succeeds or no attempt follows at once; `ended` are the attempts before.

        `shared`: without savepoints, so that nothing follows on a failure but Undone; the next call goes on from there.
        Raises Discarded where the message needs no handling, StoreError where the transaction can only be left,
        CancelledError at a stop, and what ends the process.
        """
        first: Failure | None = None
        while True:
            ended = max(ended + 1, work.ended)
            outgoing, failure = await self._one(work, ended, transaction, shared)
            if failure is None:
                return Attempted(ended, None, outgoing)
            failure = first = since_first(first, failure)
            if failure.final or failure.after or ended >= self._plan.retry.immediate:
                return Attempted(ended, failure, outgoing)
            if not work.delivery.session.taking:
                return Attempted(ended, failure, cut=True)
            self._counts.repeated += 1
            _log.warning(
                "%s: attempt %d failed, trying again: %s: %s",
                self._plan.group,
                ended,
                type(failure.error).__qualname__,
                words_of(failure.error),
            )

    async def _one(
        self, work: Work, attempt: int, transaction: Transaction, shared: SharedSession | None
    ) -> tuple[Sequence[Prepared], Failure | None]:
        failed, work.failed = work.failed, None
        if failed is not None:
            return (), failed
        message = work.message()
        if work.bound.discards and (failed := _asked(work.bound, message)) is not None:
            return (), failed
        if shared is None:
            await transaction.savepoint()
        work.begun = attempt
        context: StoreContext[Any] = StoreContext(self._surroundings, work, message, attempt, transaction, shared)
        try:
            await self._call(work, message, context)
            await context.keep()
        except BaseException as error:
            self._publishing.abandon(context.outgoing, error)
            failure = failure_of(error, work.bound)
            try:
                await self._forget(error, context)
                if shared is None:
                    await transaction.rollback_to()
                elif failure.reason is not Reason.TIMED_OUT:
                    await _check_there(transaction)
            except StoreError as lost:
                self._check_cut_off(work, failure, attempt, lost)
                raise
            if shared is not None:
                if not shared.refused:  # else it has met what was left by another one
                    work.failed, work.ended = failure, attempt
                raise Undone from error
            return (), failure
        finally:
            context.ended = True
        await self._end(transaction, shared)
        return context.outgoing, None

    @staticmethod
    def _end(transaction: Transaction, shared: SharedSession | None) -> Awaitable[None]:
        """Keeps what the handler did. Raises Undone where it has gone on after a flush that lost the transaction."""
        if shared is None:
            return transaction.release()
        if shared.lost:
            raise Undone
        return transaction.ensure_open()

    def told(self, error: BaseException) -> StoreError | None:
        """What the store makes of an exception out of a handler's statements."""
        return self._store.told(error)

    def _check_cut_off(self, work: Work, failure: Failure, attempt: int, lost: StoreError) -> None:
        """Raises StoreContention where the limit of an attempt has cut off a statement: that ends its connection.

        The attempt counts in the transaction that is begun anew, or there would be no end to it.
        """
        if failure.reason is Reason.TIMED_OUT and not isinstance(lost, StoreContention):
            work.failed, work.ended = failure, attempt
            raise StoreContention(lost.database, f"its connection is gone: {failure.error}") from lost

    def _call(self, work: Work, message: Contract, context: StoreContext[Any]) -> Awaitable[None]:
        if self._tracing is None and not work.doubtful:  # nearly always: it needs no coroutine around it
            return work.bound.call(message, context)
        return self._called(work, message, context)

    async def _called(self, work: Work, message: Contract, context: StoreContext[Any]) -> None:
        if work.doubtful and not takes(work.bound, message):
            return
        if self._tracing is None:
            await work.bound.call(message, context)
            return
        with self._tracing.handling(
            work.delivery.headers,
            self._system,
            self._plan.destination.physical,
            self._plan.group,
            message_id=context.message_id,
            correlation_id=context.correlation_id,
        ):
            await work.bound.call(message, context)

    async def _forget(self, error: BaseException, context: StoreContext[Any]) -> None:
        """What the handler's session holds. Raises StoreError where the whole transaction is lost."""
        if isinstance(error, DBAPIError) and isinstance(met := self._store.told(error), StoreContention):
            raise met from error
        try:
            await context.drop()
        except DBAPIError as failure:
            raise self._store.told(failure) or failure from error


async def _check_there(transaction: Transaction) -> None:
    """Raises StoreUnavailable where the connection is gone: that is why the handler failed, and it is no attempt.

    Its error does not say so: it may be of another database, or the handler's own.
    """
    try:
        await transaction.now()
    except StoreUnavailable:
        raise
    except StoreError:  # a statement has failed, which the handler's failure says
        return


def _asked(bound: Bound, message: Contract) -> Failure | None:
    """Why a rule of the handler can't say whether the message needs handling. Raises Discarded where it needs none."""
    try:
        discard(bound, message)
    except Discarded:
        raise
    except Exception as error:  # noqa: BLE001 - a rule is the user's, and its errors are attempts that failed
        return Failure(Reason.FAILED, error, final=False)
    return None
