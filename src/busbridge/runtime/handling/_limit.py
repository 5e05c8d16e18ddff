"""The time that one attempt of a handler may take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from busbridge.errors import AttemptTimedOut

if TYPE_CHECKING:
    from busbridge.runtime.handling._handler import Call


def limited(call: Call, seconds: float) -> Call:
    """`call`, cancelled after `seconds`; raises AttemptTimedOut then, once it has ended.

    One that swallows its cancellation is waited for, and has succeeded if it returns after all.
    """

    async def within(message: object, context: object) -> None:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await call(message, context)
        except Exception as error:
            if limit.expired():  # also where cleaning up failed: that it was cut off is what counts
                raise AttemptTimedOut(seconds) from error
            raise

    return within
