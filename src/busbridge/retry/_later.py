"""What is added to a message whose next attempt comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.retry._names import FIRST_FAILED
from busbridge.retry._record import moment

if TYPE_CHECKING:
    from busbridge.transport import Headers


def put_off_headers(headers: Headers) -> Headers:
    """When its first attempt failed, unless it says so already: the record of its dead letter will want to know."""
    return () if any(name == FIRST_FAILED for name, _ in headers) else ((FIRST_FAILED, moment()),)
