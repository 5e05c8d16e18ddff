"""A replay run: a stream, or a part of it, handed once more to the handlers of one subscription."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from busbridge.errors import ConfigurationError, Fault, StoreError
from busbridge.routing import Destination, Kind, OnFailure, ReplayPublish, ReplayRun
from busbridge.runtime.handling._context import PublishedInReplay
from busbridge.runtime.replays._progress import Progress
from busbridge.runtime.replays._source import ReplaySource
from busbridge.transport import Entry, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from busbridge.routing import StartAt, SubscriptionPlan
    from busbridge.runtime._works import Works
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._worker import Worker
    from busbridge.runtime.replays._log import RunLog
    from busbridge.transport import Delivery, Headers, History, Replayable, Until

_log = logging.getLogger("busbridge.replay")

_PAUSE: Final = 1.0
"""Seconds before a dead letter is sent again that was not confirmed."""


@final
class Replay:
    """A run: `async with bus.replay("award-points", start="earliest") as replay: await replay.finished()`.

    Leaving early stops it gracefully: what is in flight is finished. Where the service has a store, the run can be gone
    on with, from where it stood, by its `id`; also after its process has died.
    """

    def __init__(
        self,
        works: Works,
        declared: SubscriptionPlan,
        run: str,
        start: StartAt,
        until: Until,
        publish: ReplayPublish | None,
        *,
        grace: float,
    ) -> None:
        self.id = run
        self._works = works
        self._publish = publish
        self._run = ReplayRun(run, publish or ReplayPublish.REFUSE)
        self._plan = _plan(declared, self._run, works.service.version)
        self._start = start
        self._until: Until = until
        self._grace = grace
        self._log = self._made_log()
        self._progress: Progress | None = None
        self._source: ReplaySource | None = None
        self._worker: Worker | None = None
        self._holding: asyncio.Task[None] | None = None

    @property
    def remaining(self) -> int | None:
        """Offsets that are left up to the end, some of which may hold no message. None: it has not begun."""
        return None if self._progress is None else self._progress.remaining

    @property
    def counts(self) -> Counts | None:
        """What became of its messages in this process. None: it has not begun, or had nothing to do."""
        return None if self._worker is None else self._worker.counts

    async def __aenter__(self) -> Self:
        done = await self._resume()
        if not done:
            history = await self._history()
            progress = self._progress = self._progress or Progress(self._run, self._plan.name, history.parts)
            await self._keep()
            prefetch = self._plan.prefetch or self._transport.capabilities.default_prefetch
            self._source = ReplaySource(history, progress, prefetch, self._keep, self._bury)
            self._worker = self._works.worker(self._plan, self._source)
            if self._log is not None:
                self._holding = asyncio.create_task(self._log.hold(progress))
        return self

    async def finished(self) -> None:
        """Waits until everything is handled.

        Raises what stopped it: ReplayPublished, ReplayTaken, PositionLost, and what stops a subscription.
        """
        if self._source is None or self._worker is None:
            return
        waiting: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._source.done.wait()),
            asyncio.create_task(self._worker.failed()),
        ]
        holding = [] if self._holding is None else [self._holding]
        try:
            done, _ = await asyncio.wait([*waiting, *holding], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        _raise_first(done)
        if self._log is not None and self._progress is not None:
            await self._log.keep(self._progress, done=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.gather(self._holding, return_exceptions=True)
        if self._worker is not None:
            await self._worker.stop(self._grace)
        if self._log is not None and self._progress is not None and self.remaining:
            try:
                await self._log.give_up(self._progress)
            except StoreError as failure:
                _log.warning("replay run %s: its last steps are not kept, and done again: %s", self.id, failure)

    @property
    def _transport(self) -> Replayable:
        return cast("Replayable", self._works.transports[self._plan.destination.transport])

    def _made_log(self) -> RunLog | None:
        if self._works.storing is None:
            return None
        from busbridge.runtime.replays._log import RunLog  # noqa: PLC0415 - without a store nothing of SQL is imported

        return RunLog(self._works.storing.store, self.id)

    async def _resume(self) -> bool:
        """Finds out how far the run has come; whether it is done."""
        row = await self._log.resume() if self._log is not None else None
        if row is None:
            return False
        if row.subscription != self._plan.name:
            problem = f"replay run {self.id!r} is one of subscription {row.subscription!r}"
            raise ConfigurationError([Fault(problem, hint="give a run of your own, or none")])
        self._run = ReplayRun(self.id, self._publish or ReplayPublish(row.publish))
        self._plan = replace(self._plan, run=self._run)
        self._progress = Progress.read(self._run, row)
        return row.done

    async def _history(self) -> History:
        if self._progress is None:
            return await self._transport.read(self._plan.destination, self._start, self._until)
        return await self._transport.read_parts(self._plan.destination, self._progress.parts)

    async def _keep(self) -> None:
        if self._log is not None and self._progress is not None:
            await self._log.keep(self._progress)

    async def _bury(self, delivery: Delivery, record: Headers) -> None:
        place = _dead_letter_place(self._plan)
        entry = Entry(place, delivery.body, [*delivery.headers, *record], delivery.key)  # type: ignore[arg-type]
        while True:
            (outcome,) = await self._works.senders[self._plan.destination.transport].send([entry])
            if outcome.status is Status.CONFIRMED:
                return
            _log.warning("replay run %s: a dead letter is not confirmed, trying again: %s", self.id, outcome.error)
            await asyncio.sleep(_PAUSE)

    def __repr__(self) -> str:
        return f"<Replay {self.id!r} of {self._plan.group!r}, remaining {self.remaining}>"


def _raise_first(done: Iterable[asyncio.Task[Any]]) -> None:
    for each in done:
        try:
            each.result()
        except PublishedInReplay as signal:
            raise signal.error from None


def _plan(declared: SubscriptionPlan, run: ReplayRun, version: str) -> SubscriptionPlan:
    """The subscription's, in the order of its keys: nothing of a run waits anywhere but in the run."""
    retry = replace(declared.retry, immediate=declared.retry.attempts, tiers=())
    return replace(
        declared, exactly_once=False, run=run, ordered=True, on_failure=OnFailure.BLOCK, retry=retry, version=version
    )


def _dead_letter_place(plan: SubscriptionPlan) -> Destination:
    return Destination(plan.dead_letters, Kind.STREAM, plan.destination.transport, plan.dead_letters)
