"""The dead letters of a service, for an operator: looked at, sent again, discarded."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, final

from busbridge.errors import ConfigurationError, Fault, NoDeadLetter, SourceEnded
from busbridge.runtime.dead_letters._letter import Letter, Which
from busbridge.runtime.dead_letters._redriving import Discarding, Pace, Redriving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
    from typing import Self

    from busbridge.routing import ServicePlan, SubscriptionPlan
    from busbridge.runtime.dead_letters._action import Book
    from busbridge.runtime.dead_letters._redriving import Done, Progress
    from busbridge.transport import DeadLetters as Place
    from busbridge.transport import Redrivable

    OpenTransport = Callable[[str], Awaitable[Redrivable]]


@final
@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one subscription that died of the same."""

    subscription: str
    reason: str
    error_type: str
    count: int
    oldest: datetime | None
    """When the first of them was given up; None where none says."""
    newest: datetime | None


@final
class DeadLetters:
    """The dead letters of a service's subscriptions, beside the service at work or without it.

    Each call opens what it needs and leaves it as it was. What stands there when a call begins is all it is about: a
    message that is sent again and fails again is not met a second time. Two operators at a time do no harm: on RabbitMQ
    each sees what the other does not hold; on Kafka both may send the same message again, which then comes twice.

    Calls raise AccessRefused, TransportError, and ConfigurationError for a subscription that the service has not, or
    whose transport offers no dead letters to look at.
    """

    def __init__(self, service: str, plan: ServicePlan | None, transport: OpenTransport, book: Book) -> None:
        """`plan` is None where the configuration has no such service; `transport` gives the open one of a name."""
        self._service = service
        self._plans: Mapping[str, SubscriptionPlan] = plan.subscriptions if plan else {}
        self._window = plan.store.window if plan and plan.store else inf
        self._transport = transport
        self._book = book

    async def read(self, which: Which = Which(), *, limit: int | None = None) -> AsyncGenerator[Letter]:  # noqa: B008 - frozen
        """Those that are meant, one subscription after the other, oldest first; at most `limit`.

        Close it when you leave it early.
        """
        left = inf if limit is None else limit
        for plan in self._meant(which):
            if left <= 0:
                return
            async with self._open(plan) as place:
                async for batch in _Batches(place, plan, which):
                    for letter in batch:
                        yield letter
                        left -= 1
                        if left <= 0:
                            return

    async def groups(self, which: Which = Which(), *, limit: int | None = None) -> list[Group]:  # noqa: B008 - frozen
        """How many there are, by subscription, reason and class of error; the largest first. Of at most `limit`."""
        found: dict[tuple[str, str, str], Group] = {}
        async for letter in self.read(which, limit=limit):
            key = letter.subscription, letter.record.reason, letter.record.error_type
            found[key] = _joined(found.get(key) or Group(*key, 0, None, None), letter.time)
        return sorted(found.values(), key=lambda each: -each.count)

    async def find(self, id: str, subscription: str = "") -> Letter:  # noqa: A002 - what it is called
        """The one of this id, its own or its message's. Raises NoDeadLetter."""
        reading = self.read(Which(subscription=subscription, ids=frozenset({id})))
        try:
            async for letter in reading:
                return letter
        finally:
            await reading.aclose()
        raise NoDeadLetter(self._service, id)

    async def redrive(
        self,
        which: Which = Which(),  # noqa: B008 - frozen
        *,
        limit: int | None = None,
        rate: float | None = None,
        canary: int = 0,
        wait: float = 30.0,
        beyond_window: bool = False,
        who: str = "",
        progress: Progress | None = None,
    ) -> Done:
        """Sends those that are meant again, each to the subscription that could not handle it, and to nobody else.

        A message keeps its id, body, key and headers; its attempts begin anew; its header `busbridge-redrive` names
        this redrive. It is removed once its broker has confirmed that it is sent: a process that dies in between leaves
        a second copy, which the inbox of a service with a store knows. At most `limit`, at most `rate` a second.

        `canary`: sends as many first and waits up to `wait` seconds to see them handled; where one is not, CanaryFailed
        and the rest stays. Without a store nobody tells that a message was handled: then it waits all that time, and
        the canary has failed where one is dead again.

        `beyond_window`: sends also what was given up longer ago than the window of the store, instead of raising
        BeyondWindow: that it was sent again before, and handled, may be forgotten, and its effects then happen twice.

        Raises OutcomeUnknown where a broker did not answer in time, StoreError; what was sent until then stands in
        the store's actions. One that the broker refuses stays, and is listed.
        """
        async with self._book.noted("redrive", which, who) as action:
            canaries = self._book.canary(canary, wait, self._count_back) if canary else None
            oldest = inf if beyond_window else self._window
            act = Redriving(action, Pace(rate), limit, oldest, canaries, progress)
            for plan in self._meant(which):
                async with self._open(plan) as place:
                    await act.through(plan, place, _Batches(place, plan, which))
            await act.finish()
            return action.done

    async def discard(
        self,
        which: Which = Which(),  # noqa: B008 - frozen
        *,
        limit: int | None = None,
        who: str = "",
        progress: Progress | None = None,
    ) -> Done:
        """Removes those that are meant, at most `limit`, for good. Raises StoreError."""
        async with self._book.noted("discard", which, who) as action:
            act = Discarding(action, limit, progress)
            for plan in self._meant(which):
                async with self._open(plan) as place:
                    await act.through(plan, place, _Batches(place, plan, which))
            return action.done

    def _meant(self, which: Which) -> Iterator[SubscriptionPlan]:
        if which.subscription and which.subscription not in self._plans:
            problem = f"service {self._service!r} has no subscription {which.subscription!r}"
            raise ConfigurationError([Fault(problem, hint=f"one of {', '.join(self._plans) or 'none'}")])
        yield from (plan for name, plan in self._plans.items() if which.subscription in ("", name))

    @asynccontextmanager
    async def _open(self, plan: SubscriptionPlan) -> AsyncGenerator[Place]:
        transport = await self._transport(plan.destination.transport)
        if not transport.capabilities.redrive:
            problem = f"transport {plan.destination.transport!r} shows nobody its dead letters"
            raise ConfigurationError([Fault(problem)])
        place = await transport.dead_letters(plan)
        try:
            yield place
        finally:
            await place.close()

    async def _count_back(self, plan: SubscriptionPlan, redrive: str) -> int:
        """How many that a redrive brought are dead again."""
        which = Which(subscription=plan.name)
        return sum([letter.record.redrive == redrive async for letter in self.read(which)])


@final
class _Batches:
    """Those of a place that are meant, as they are handed over."""

    def __init__(self, place: Place, plan: SubscriptionPlan, which: Which) -> None:
        self._place = place
        self._plan = plan
        self._which = which
        self._now = datetime.now(UTC)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Letter]:
        try:
            found = [Letter(each, self._plan) for each in await self._place.receive()]
        except SourceEnded:
            raise StopAsyncIteration from None
        return [letter for letter in found if self._which.takes(letter, self._now)]


def _joined(group: Group, time: datetime | None) -> Group:
    times = [each for each in (group.oldest, group.newest, time) if each is not None]
    return replace(group, count=group.count + 1, oldest=min(times, default=None), newest=max(times, default=None))
