"""An attempt that failed, and why."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from busbridge.errors import (
    BusbridgeError,
    InvalidEnvelope,
    InvalidMessage,
    NotHandled,
    UnknownContract,
    UnknownVersion,
)
from busbridge.retry import Reason

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


def failure_of(error: BaseException, fatal: tuple[type[Exception], ...]) -> Failure:
    """What a handler raised, as a failed attempt. Raises it where it ends the process, CancelledError at a stop."""
    if not isinstance(error, Exception | asyncio.CancelledError):
        raise error
    if _is_cancelled():  # also where cleaning up failed: being stopped is no failed attempt
        raise asyncio.CancelledError from error
    final = isinstance(error, fatal)
    return Failure(Reason.FATAL if final else Reason.FAILED, error, final)


def _is_cancelled() -> bool:
    """Whether this task was asked to end. A CancelledError alone does not say so: a handler may raise one by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
