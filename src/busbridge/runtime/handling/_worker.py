"""One subscription at work: takes deliveries from its sources and puts them into lanes, until told to stop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, final

from busbridge.errors import SourceEnded
from busbridge.runtime.handling._context import PublishedInReplay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._lanes import Lanes
    from busbridge.transport import Source

_log = logging.getLogger("busbridge.worker")

_FLUSH_SECONDS: Final = 5.0
"""How long the broker may take to hear the last settlements when stopping."""


class Pauses(Protocol):
    """What keeps a subscription from taking new work for a while."""

    def end(self) -> bool:
        """The subscription is told to stop: nothing waits for it any more. True if it pauses, so none may go on."""
        ...


@final
class Worker:
    """Made when a bus opens; `stop` once."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        sources: Sequence[Source],
        lanes: Lanes,
        counts: Counts,
        pauses: Sequence[Pauses],
        finish: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`sources`: the broker's, and the timers'. `finish` is awaited when the lanes have ended, before leaving."""
        self.plan = plan
        self.counts = counts
        """What became of its deliveries so far."""
        self._sources = sources
        self._lanes = lanes
        self._pauses = pauses
        self._finish = finish
        self._taking = [asyncio.create_task(self._take(each)) for each in sources]
        self._watching = asyncio.create_task(self._watch())

    async def _take(self, source: Source) -> None:
        lanes = self._lanes
        try:
            while True:
                lanes.put(await source.receive())
        except SourceEnded:
            return

    async def _watch(self) -> None:
        """Ends when taking ends; raises, after logging it, what stopped the subscription unasked."""
        lanes = asyncio.create_task(self._lanes.failed())
        try:
            await asyncio.wait({*self._taking, lanes}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*self._taking, lanes):
                if task.done() and not task.cancelled():
                    task.result()
        except (asyncio.CancelledError, PublishedInReplay):  # the latter is told by the run
            raise
        except BaseException as error:
            _log.critical("%s has stopped: %s", self.plan.group, error if isinstance(error, Exception) else repr(error))
            raise
        finally:
            lanes.cancel()

    async def failed(self) -> None:
        """Waits while the subscription works. Raises what stopped it; returns when it was told to stop."""
        await asyncio.shield(self._watching)

    async def stop(self, grace: float) -> None:
        """Stops taking, lets what is in flight finish for `grace` seconds, cancels the rest, settles, leaves.

        What was cancelled is not settled: the broker hands it over again. What had stopped the subscription before was
        logged and is raised by `failed`, not here.
        """
        for each in self._sources:
            each.drain()
        self._lanes.hurry()
        paused = [each.end() for each in self._pauses]  # all of them are told
        if any(paused):  # what waits would only fail now, or go on waiting
            self._lanes.give_back()
        try:
            async with asyncio.timeout(grace):
                await asyncio.wait(self._taking)
                await self._lanes.drained()
        except TimeoutError:
            _log.warning(
                "%s: handlers are cancelled after %g s; their messages will be delivered again", self.plan.group, grace
            )
        finally:
            await self._leave()

    async def _leave(self) -> None:
        for task in self._taking:
            task.cancel()
        await self._lanes.close()
        if self._finish is not None:
            await self._finish()
        flushed = await asyncio.gather(*(each.flush(_FLUSH_SECONDS) for each in self._sources))
        if not all(flushed):
            _log.warning(
                "%s: the broker did not hear every settlement; some messages will be delivered again", self.plan.group
            )
        for each in self._sources:
            await each.close()
        _log.info("%s has left: %r", self.plan.group, self.counts)
        await asyncio.gather(*self._taking, self._watching, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Worker {self.plan.group!r}, {self.counts!r}>"
