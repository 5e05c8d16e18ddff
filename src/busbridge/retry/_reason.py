"""Why a message is dead."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a message is dead."""

    INVALID_ENVELOPE = "invalid_envelope"
    """No CloudEvent, and the destination assumes no contract."""
    UNKNOWN_CONTRACT = "unknown_contract"
    UNKNOWN_VERSION = "unknown_version"
    INVALID_MESSAGE = "invalid_message"
    """The body does not fit its contract, or an upcaster failed."""
    NOT_HANDLED = "not_handled"
    """The subscription has no handler for this contract."""
    FAILED = "failed"
    """The handler raised in every attempt."""
    FATAL = "fatal"
    """The handler raised an error that it declares fatal, or that is not among those it declares worth a retry."""
    REJECTED = "rejected"
    """The handler raised Reject."""
    TIMED_OUT = "timed_out"
    """The last attempt took longer than an attempt may."""
    PUBLISH_REFUSED = "publish_refused"
    """A broker refused what the handler published."""
    CRASHED = "crashed"
    """The process died while it was handled, once too often."""
    EXPIRED = "expired"
    """It stood unread in its queue longer than the queue's ttl."""


BROKERS_OWN: Final = ("delivery_limit", "maxlen")
"""Reasons that no `Reason` is for: those of a RabbitMQ that moved a message by itself, or by a policy."""
