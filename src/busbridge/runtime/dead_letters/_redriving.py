"""Going through dead letters and doing something to them: in small steps, each done before the next begins."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from busbridge.errors import BeyondWindow, TransportError
from busbridge.retry import redriven_headers
from busbridge.transport import Again, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.dead_letters._action import Action
    from busbridge.runtime.dead_letters._canary import Canary
    from busbridge.runtime.dead_letters._letter import Letter
    from busbridge.transport import DeadLetters, Outcome

_STEP: Final = 100
"""Dead letters sent together, at most: as many may come twice where the process dies."""
_SECONDS: Final = 30.0
"""For a broker to confirm them."""


class Refused(NamedTuple):
    """A dead letter that its broker would not take again."""

    id: str
    why: str


@final
@dataclass(frozen=True, slots=True)
class Done:
    """What was done."""

    id: str
    """Of the action; of a redrive, what its messages carry."""
    count: int
    refused: tuple[Refused, ...] = ()


class Progress(Protocol):
    """Whom it is told how far it has come."""

    def __call__(self, done: int, remaining: int) -> None:
        """`remaining`: how many may still follow in this subscription, at most."""
        ...


@final
class Pace:
    """No more than so many a second."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next = 0.0
        self.step = _STEP if rate is None else max(1, min(_STEP, int(rate / 4)))
        """How many may go together, so that it goes on evenly."""

    async def wait(self, count: int) -> None:
        """Until `count` more may go."""
        if self._rate is None:
            return
        clock = asyncio.get_running_loop().time
        begin = max(self._next, clock())
        self._next = begin + count / self._rate
        await asyncio.sleep(begin - clock())


@final
class Redriving:
    """Sends dead letters again, those of one subscription after the other."""

    def __init__(
        self,
        action: Action,
        pace: Pace,
        limit: int | None,
        window: float,
        canary: Canary | None,
        progress: Progress | None,
    ) -> None:
        self._action = action
        self._pace = pace
        self._limit = limit
        self._window = window
        self._canary = canary
        self._progress = progress

    async def through(
        self, plan: SubscriptionPlan, place: DeadLetters, batches: AsyncIterable[Sequence[Letter]]
    ) -> None:
        """Those of one subscription. Raises OutcomeUnknown, CanaryFailed, BeyondWindow, TransportError, StoreError."""
        async for batch in batches:
            for step in self._steps(batch):
                self._check_age(step)
                await self._send(place, step)
                if self._canary is not None:
                    await self._canary.sent(plan, self._action)
            if self._progress is not None:
                self._progress(self._action.done.count, place.remaining)
            if self._limit is not None and self._action.tried >= self._limit:
                return

    async def finish(self) -> None:
        """There are no more. Raises CanaryFailed where all there were are the first, and are not handled."""
        if self._canary is not None:
            await self._canary.watch(self._action)

    def _steps(self, batch: Sequence[Letter]) -> Iterable[Sequence[Letter]]:
        """Parts of a batch that go together; asked for one after the other, since what was done bounds the next."""
        begin = 0
        while begin < len(batch):
            room = self._pace.step
            if self._limit is not None:
                room = min(room, self._limit - self._action.tried)
            if self._canary is not None:
                room = min(room, self._canary.room(self._action.tried) or room)
            if room <= 0:
                return
            yield batch[begin : begin + room]
            begin += room

    def _check_age(self, letters: Sequence[Letter]) -> None:
        now = datetime.now(UTC)
        for each in letters:
            if each.time is not None and (age := now - each.time).total_seconds() > self._window:
                raise BeyondWindow(each.subscription, each.id, age, timedelta(seconds=self._window))

    async def _send(self, place: DeadLetters, letters: Sequence[Letter]) -> None:
        """Confirmed first, removed then: in between, a message is there twice, never not at all."""
        await self._pace.wait(len(letters))
        redrive = self._action.done.id
        again = [Again(each.buried, redriven_headers(each.buried.headers, redrive)) for each in letters]
        outcomes = await place.redrive(again, _SECONDS)
        self._action.reached("redrive_published")
        known = list(zip(letters, outcomes, strict=True))
        await place.remove([each.buried for each, outcome in known if outcome.status is Status.CONFIRMED])
        await self._action.went_on(
            sum(outcome.status is Status.CONFIRMED for outcome in outcomes),
            [Refused(each.id, str(outcome.error)) for each, outcome in known if outcome.status is Status.REFUSED],
        )
        _raise_unknown(outcomes)


@final
class Discarding:
    """Removes dead letters."""

    def __init__(self, action: Action, limit: int | None, progress: Progress | None) -> None:
        self._action = action
        self._limit = limit
        self._progress = progress

    async def through(
        self, _plan: SubscriptionPlan, place: DeadLetters, batches: AsyncIterable[Sequence[Letter]]
    ) -> None:
        """Those of one subscription. Raises TransportError, StoreError."""
        async for batch in batches:
            letters = batch if self._limit is None else batch[: self._limit - self._action.tried]
            await place.remove([each.buried for each in letters])
            await self._action.went_on(len(letters), ())
            if self._progress is not None:
                self._progress(self._action.done.count, place.remaining)
            if self._limit is not None and self._action.tried >= self._limit:
                return


def _raise_unknown(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.status is Status.UNKNOWN:
            raise outcome.error or TransportError("the broker did not say whether it took what was sent again")
