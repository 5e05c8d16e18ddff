"""An attempt that failed, and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

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
from busbridge.retry import Reason

if TYPE_CHECKING:
    from busbridge.runtime._dispatch import Bound

UNREADABLE: Final[dict[type[BusbridgeError], Reason]] = {
    InvalidEnvelope: Reason.INVALID_ENVELOPE,
    InvalidMessage: Reason.INVALID_MESSAGE,
    UnknownVersion: Reason.UNKNOWN_VERSION,
    UnknownContract: Reason.UNKNOWN_CONTRACT,
    NotHandled: Reason.NOT_HANDLED,
}
"""Why a message is dead that never came to a handler."""


class Failure(NamedTuple):
    """An attempt that failed."""

    reason: Reason
    error: BaseException
    final: bool
    """True: another attempt would fail the same way."""
    after: float | None = None
    """Seconds that the handler wants the next attempt to wait; None: it did not say."""


def failure_of(error: BaseException, bound: Bound) -> Failure:
    """What a handler raised, as a failed attempt. Raises it where it ends the process, CancelledError at a stop."""
    if not isinstance(error, Exception | asyncio.CancelledError):
        raise error
    if _is_cancelled():  # also where cleaning up failed: being stopped is no failed attempt
        raise asyncio.CancelledError from error
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
