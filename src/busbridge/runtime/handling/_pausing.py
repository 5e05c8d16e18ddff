"""A subscription whose handlers all fail pauses, and tries one message now and then until one succeeds.

Otherwise whatever all handlers need, a database or another service, would take the whole queue into the dead letters
when it goes. Nothing is asked of a message that succeeds: only failures look, whether any did since the last one.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from busbridge.retry import Reason, words_of

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._failure import Failure

_log = logging.getLogger("busbridge.worker")

_LOOK: Final = 0.05
"""Seconds between two looks, while it pauses, whether a message has succeeded."""
_OF_THE_HANDLER: Final = frozenset({Reason.FAILED, Reason.TIMED_OUT, Reason.PUBLISH_REFUSED})
"""What more messages would fail of. What can't be read, is fatal or was rejected says something of itself alone."""


@final
class Pausing:
    """Of one subscription in this process. Plain calls, on the loop's thread, but for `rest`."""

    def __init__(self, plan: SubscriptionPlan, counts: Counts) -> None:
        self.paused = False
        self._plan = plan
        self._counts = counts
        self._in_a_row = 0
        self._handled = 0
        self._tried = 0
        self._turn = asyncio.Lock()
        self._at_work = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._ended = False
        """It paused when it was told to stop: no message may begin."""

    @property
    def at_once(self) -> int:
        """Failures after which a transaction takes no more: all lanes together have then seen enough to pause."""
        after = self._plan.pause.after
        return max(1, after // self._plan.concurrency) if after else sys.maxsize

    def put_off(self, failure: Failure, attempts: int) -> None:
        """A message waits for its next attempt, after so many.

        Counts where it waits for the first time, so that a few which come again and again make no subscription pause;
        and not where its handler asked for it.
        """
        if failure.after is None and attempts <= self._plan.retry.immediate:
            self.failed(failure)

    def failed(self, failure: Failure) -> None:
        """No other attempt is made of a message; or `put_off`."""
        if failure.reason not in _OF_THE_HANDLER:
            return
        if self._counts.handled != self._handled:
            self._handled, self._in_a_row = self._counts.handled, 0
        self._in_a_row += 1
        if self._plan.pause.after and self._in_a_row >= self._plan.pause.after:
            self._pause(failure)

    def _pause(self, failure: Failure) -> None:
        if self.paused or self._stopping:
            return
        self.paused = self._counts.paused = True
        self._tried = 0
        self._at_work.clear()
        self._watching = asyncio.create_task(self._watch(), name=f"busbridge pause of {self._plan.group}")
        _log.error(
            "%s pauses: %d messages failed in a row, the last of %s: %s. One is tried in %g s, then less often",
            self._plan.group,
            self._in_a_row,
            type(failure.error).__qualname__,
            words_of(failure.error),
            self._plan.pause.probe,
        )

    async def _watch(self) -> None:
        while self._counts.handled == self._handled:  # noqa: ASYNC110 - an event would cost every message that succeeds
            await asyncio.sleep(_LOOK)
        _log.warning("%s goes on: a message was handled", self._plan.group)
        self._go_on()

    def _go_on(self) -> None:
        self.paused = self._counts.paused = False
        self._at_work.set()

    async def rest(self) -> bool:
        """Keeps a lane whose message has failed, while the subscription pauses, until it may try the next one.

        Lanes take turns: one message is tried at a time. False: it is told to stop, and no message may begin.
        """
        if self.paused:
            async with self._turn:
                await self._wait()
        return not self._ended

    async def _wait(self) -> None:
        if self.paused and not self._ended:
            seconds = self._plan.pause.wait(self._tried)
            self._tried += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._at_work.wait()

    def end(self) -> bool:
        """The subscription is told to stop: no lane rests any more. True if it pauses, so that none may go on."""
        self._stopping, self._ended = True, self.paused
        if self._watching is not None:
            self._watching.cancel()
        self._at_work.set()
        return self.paused

    def __repr__(self) -> str:
        return f"<Pausing of {self._plan.group!r}, {'paused' if self.paused else 'at work'}, {self._in_a_row} in a row>"
