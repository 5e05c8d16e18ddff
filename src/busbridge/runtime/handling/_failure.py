"""An attempt that failed, and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from busbridge.errors import (
    AttemptTimedOut,
    BusbridgeError,
    InvalidEnvelope,
    InvalidMessage,
    NotHandled,
    Reject,
    Retry,
    UnknownContract,
    UnknownVersion,
)
from busbridge.retry import Reason, moment, record_of

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Bound
    from busbridge.transport import Delivery, Headers

UNREADABLE: Final[dict[type[BusbridgeError], Reason]] = {
    InvalidEnvelope: Reason.INVALID_ENVELOPE,
    InvalidMessage: Reason.INVALID_MESSAGE,
    UnknownVersion: Reason.UNKNOWN_VERSION,
    UnknownContract: Reason.UNKNOWN_CONTRACT,
    NotHandled: Reason.NOT_HANDLED,
}
"""Why a message is dead that never came to a handler."""

_FAILURES: Final = (Exception, asyncio.CancelledError)


class Failure(NamedTuple):
    """An attempt that failed."""

    reason: Reason
    error: BaseException
    final: bool
    """True: another attempt would fail the same way."""
    after: float | None = None
    """Seconds that the handler wants the next attempt to wait; None: it did not say."""
    handler: str = ""
    """`subscription/handler` of the handler that was called; empty where none was."""
    since: str = ""
    """When the first of the attempts that ended with it failed, as a record tells it; empty: with this one."""


def failure_of(error: BaseException, bound: Bound) -> Failure:
    """What a handler raised, as a failed attempt. Raises it where it ends the process, CancelledError at a stop."""
    if not _is_failure(error):
        raise error
    if _is_cancelled():  # also where cleaning up failed: being stopped is no failed attempt
        raise asyncio.CancelledError from error
    return _failed(error, bound)._replace(handler=bound.name, since=moment())


def _is_failure(error: BaseException) -> bool:
    """Whether an attempt may fail with it. A cancellation that nobody asked for is a failure, also in a group."""
    if isinstance(error, BaseExceptionGroup):
        _, others = cast("BaseExceptionGroup[BaseException]", error).split(_FAILURES)
        return others is None
    return isinstance(error, _FAILURES)


def _failed(error: BaseException, bound: Bound) -> Failure:
    match error:
        case Reject():
            return Failure(Reason.REJECTED, error, final=True)
        case Retry():
            return Failure(Reason.FAILED, error, final=False, after=error.seconds)
        case AttemptTimedOut():  # nothing that the handler raised: its `retry_on` says nothing of it
            return Failure(Reason.TIMED_OUT, error, final=isinstance(error, bound.fatal))
        case _:
            final = isinstance(error, bound.fatal) or not (bound.retry_on is None or isinstance(error, bound.retry_on))
            return Failure(Reason.FATAL if final else Reason.FAILED, error, final)


def _is_cancelled() -> bool:
    """Whether this task was asked to end. A CancelledError alone does not say so: a handler may raise one by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def told(failure: Failure, delivery: Delivery, plan: SubscriptionPlan, attempts: int) -> Headers:
    """The record of a delivery that is dead of it."""
    handler = failure.handler.rpartition("/")[2]
    reason, error, since = failure.reason, failure.error, failure.since
    return record_of(reason, error, delivery, plan, attempts, handler=handler, since=since)


def since_first(first: Failure | None, latest: Failure) -> Failure:
    """The latest failure of several attempts, which says when the first failed."""
    return latest if first is None else latest._replace(since=first.since or latest.since)
