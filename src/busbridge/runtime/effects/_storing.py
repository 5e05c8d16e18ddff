"""A service's store beside its bus: opened, relayed, cleaned; and the pipelines of subscriptions that use it."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from busbridge.errors import StoreError
from busbridge.outbox import Exit, Relay, Releasing, TimerSource, dead_letter_place
from busbridge.runtime.effects._attempts import Attempts
from busbridge.runtime.effects._effects import Effects
from busbridge.runtime.effects._endings import Endings
from busbridge.runtime.effects._intake import Intake
from busbridge.runtime.effects._outbox_gate import Entrance, OutboxGate
from busbridge.runtime.effects._strangers import strangers
from busbridge.runtime.handling._counts import Counts
from busbridge.runtime.handling._lanes import Lanes, Together
from busbridge.runtime.handling._pace import Pace
from busbridge.runtime.handling._pausing import Pausing
from busbridge.runtime.handling._worker import Worker
from busbridge.runtime.publishing._outbox import Outbox
from busbridge.runtime.publishing._postponed import Postponing
from busbridge.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from busbridge.routing import Config, Destination, StorePlan, SubscriptionPlan
    from busbridge.runtime._service import Service
    from busbridge.runtime.handling._dispatch import Dispatcher
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.runtime.publishing._sender import Sender
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Source

_log = logging.getLogger("busbridge.store")

_RELAYED_WITHIN: Final = 5.0
"""Seconds that the relay has for what is left when the bus closes: it is safe in the outbox, so no grace is needed."""

_POLL: Final = 1.0
"""Seconds between two looks for timers that another process has left."""
_RARE_POLL: Final = 5.0
"""The same, where only a handler that raises Retry sets any."""

_CLEANED_EVERY: Final = (300.0, 900.0)
"""Seconds between two cleanings of the inbox, jittered: several processes need not meet."""


@final
class Storing:
    """Made by `opened`; what it starts is put away with the stack it is given."""

    def __init__(self, store: Store, plan: StorePlan) -> None:
        self.store = store
        self.watched: list[Callable[[], Coroutine[Any, Any, None]]] = []
        """What to wait for in order to hear that something of it can't go on."""
        self._plan = plan
        self._gate = OutboxGate(store, plan.outbox_limit)
        self._relay: Relay | None = None
        self._relaying = False
        self._outbox: Outbox | None = None
        self._releasing: Releasing | None = None
        self._waking: list[TimerSource] = []

    @classmethod
    async def opened(cls, stack: AsyncExitStack, service: str, plan: StorePlan) -> Storing:
        """Opens the store. Raises StoreOutdated, StoreUnavailable, MissingExtra."""
        store = Store(plan.url.get_secret_value(), service, connections=plan.connections)
        stack.push_async_callback(store.close)
        await store.open(upgrade=plan.upgrade)
        return cls(store, plan)

    @property
    def relay(self) -> Relay:
        """What publishes the outbox, once it was started."""
        assert self._relay is not None
        return self._relay

    @property
    def outbox(self) -> Outbox:
        """The way into the outbox outside of handlers, once it was started."""
        assert self._outbox is not None
        return self._outbox

    def start(
        self,
        stack: AsyncExitStack,
        config: Config,
        senders: Mapping[str, Sender],
        publishing: Publishing,
        observer: Observer | None,
        relaying: float | None,
    ) -> None:
        """Starts to publish what is in the outbox, now or when it is due, and to clean the inbox.

        `relaying`: seconds between two looks at the outbox; None: that is left to other processes.
        """
        exits = {each.name: Exit(senders[each.transport], each) for each in self._places(config, senders)}
        self._relay = Relay(self.store, exits, poll=relaying or _POLL, parked=observer.parked if observer else None)
        self._outbox = Outbox(self.store, self._relay, publishing)
        self._releasing = self._made_releasing(publishing, observer)
        if relaying is not None:
            self._start_relaying(stack, self._relay, self._releasing)
        self.watched.append(self._gate.failed)
        stack.push_async_callback(self._gate.stop)
        cleaning = asyncio.create_task(self._clean(), name=f"busbridge cleaning of {self.store.service}")
        stack.push_async_callback(_cancelled, cleaning)
        self.watched.append(partial(_failed, cleaning))

    def _start_relaying(self, stack: AsyncExitStack, relay: Relay, releasing: Releasing) -> None:
        self._relaying = True
        self.watched.extend((relay.failed, releasing.failed))
        relay.start()
        stack.push_async_callback(relay.stop, _RELAYED_WITHIN)
        releasing.start()
        stack.push_async_callback(releasing.stop)

    def _made_releasing(self, publishing: Publishing, observer: Observer | None) -> Releasing:
        def announce(message_ids: Iterable[str]) -> None:
            postponing.announce(message_ids)

        releasing = Releasing(self.store, self.relay.poke, announce)
        publishing.postponing = postponing = Postponing(releasing, observer)
        return releasing

    def work(
        self,
        plan: SubscriptionPlan,
        sources: Sequence[Source],
        dispatcher: Dispatcher,
        publishing: Publishing,
        resources: Any,
        system: str,
        tracing: Tracing | None,
        observer: Observer | None,
    ) -> Worker:
        """A subscription at work whose effects happen once."""
        counts = Counts()
        pausing, entrance = Pausing(plan, counts), self._entrance(plan, counts, publishing)
        timers = self._timers(plan, dispatcher.places) if plan.run is None else None  # they are the subscription's
        effects = Effects(
            self.store,
            plan,
            Intake(plan, dispatcher),
            Attempts(self.store, plan, publishing, resources, system, tracing, counts),
            Endings(plan, publishing, counts, pausing, observer),
            self.relay,
            timers,
            self._pace(plan),
            pausing,
            self._gate,
            entrance,
        )
        lanes = Lanes(plan.concurrency, Together(effects.handle, effects.pace), effects.release, ordered=plan.ordered)
        effects.wait = lanes.wait
        all_sources = [*sources, *([] if timers is None else [timers])]
        return Worker(plan, all_sources, lanes, counts, [pausing, entrance], effects.finish)

    def _entrance(self, plan: SubscriptionPlan, counts: Counts, publishing: Publishing) -> Entrance:
        """A queue that the service fills, and that is bounded, is emptied in any case.

        Otherwise, once it is full, what waits for room in it would keep the subscription from making room.
        """
        self._gate.start()
        if plan.destination.max_length is not None and publishing.reaches(plan.destination):
            return Entrance(counts)
        return self._gate.entrance(counts)

    def _pace(self, plan: SubscriptionPlan) -> Pace:
        """Lanes with a key each can't share what waits, and need not where one transaction goes on at a time."""
        one = self.store.one_at_a_time
        return Pace(self._plan.batch, lanes=1 if one or plan.ordered else plan.concurrency, one_at_a_time=one)

    def _timers(self, plan: SubscriptionPlan, places: Iterable[str]) -> TimerSource:
        poll = _POLL if plan.retry.delayed else _RARE_POLL
        timers = TimerSource(self.store, plan, places, poll=poll, buried=self.relay.poke)
        self._waking.append(timers)
        return timers

    async def tell_strangers(self, service: Service[Any]) -> None:
        """Warns of attempts that wait for handlers that the code does not have. Raises StoreError."""
        for each in strangers(await self.store.waiting_timers(), service):
            _log.warning(
                "attempts wait (%d) for handler %s, which the code does not have: they are made once a handler is "
                "called so again (`name=`); `busbridge store timers` lists them",
                each.waiting,
                each.place,
            )

    async def advance(self, seconds: float) -> None:
        """Has all that waits among the timers come `seconds` sooner: for tests. Raises StoreError."""
        await self.store.advance_timers(seconds)
        if self._releasing is not None:
            await self._releasing.look()
        for each in self._waking:
            each.expect(0)

    async def relayed(self) -> None:
        """Waits until this process may publish nothing more of the outbox now: for tests."""
        if self._relaying:
            await self.relay.idle()

    def _places(self, config: Config, senders: Mapping[str, Sender]) -> Iterator[Destination]:
        """Where what is in the outbox may go: any destination within reach, and the dead letters of subscriptions."""
        yield from (each for each in config.destinations.values() if each.transport in senders)
        for plan in config.services[self.store.service].subscriptions.values():
            if plan.destination.transport in senders:
                yield dead_letter_place(plan)

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_CLEANED_EVERY))  # noqa: S311 - jitter
            try:
                forgotten = await self.store.clean(self._plan.window)
            except StoreError as error:
                _log.warning("%s: the inbox is not cleaned now: %s", self.store.service, error)
            else:
                _log.info("%s: %d messages are older than the window and forgotten", self.store.service, forgotten)


async def _failed(task: asyncio.Task[None]) -> None:
    """Raises what has ended a task; returns when it was cancelled."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
