"""A bus: a service joined with a configuration, and open."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, final, overload

from busbridge.errors import ClosedError, ConfigurationError, Fault
from busbridge.runtime._lifespans import entered
from busbridge.runtime._opening import (
    connected,
    opened_store,
    publishing_through,
    senders_through,
    tell_unreached,
    tell_without_store,
)
from busbridge.runtime._startup import joined
from busbridge.runtime._transports import InstalledTransports
from busbridge.runtime._works import Works, works_through
from busbridge.runtime.dead_letters._operating import dead_letters_through
from busbridge.runtime.handling._resources import R
from busbridge.runtime.publishing._batches import in_batches
from busbridge.runtime.publishing._outcomes import PublishError
from busbridge.runtime.publishing._publishing import Publishing, missing
from busbridge.runtime.replays._replaying import asked, replay_of
from busbridge.runtime.replays._streams import Streams
from busbridge.telemetry import detect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from datetime import datetime, timedelta
    from types import TracebackType
    from typing import Self

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from busbridge.contract import Contract
    from busbridge.routing import Config, SubscriptionPlan
    from busbridge.routing import Source as ConfigSource
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.dead_letters._dead_letters import DeadLetters
    from busbridge.runtime.effects._storing import Storing
    from busbridge.runtime.handling._counts import Counts
    from busbridge.runtime.handling._worker import Worker
    from busbridge.runtime.publishing._collected import Collected
    from busbridge.runtime.publishing._django import DjangoConnection
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._outbox import Outbox
    from busbridge.runtime.publishing._outcomes import Undelivered
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._scheduled import Scheduled
    from busbridge.runtime.publishing._transaction import BusTransaction
    from busbridge.runtime.replays._read import C, OnInvalid, Start, StreamReader
    from busbridge.runtime.replays._replay import Replay
    from busbridge.runtime.replays._replaying import Publish
    from busbridge.transport import Until

_POLL: Final = 1.0
_POLL_ALONE: Final = 0.2
"""Seconds between two looks at the outbox for what other processes have put there."""


@final
class Bus(Generic[R]):
    """An open service: `async with Bus(service, config="busbridge.yaml") as bus: ...`.

    Entering checks service and configuration whole (ConfigurationError with every fault of both), enters the service's
    lifespan (HandlerError where that gives no context manager), opens the store if it declares one (StoreUnavailable,
    StoreOutdated), connects (Unavailable once the `patience` of a broker ran out, AccessRefused at once), provisions or
    verifies the topology (TopologyMismatch), and starts the relay of the store and the service's subscriptions:
    `relay=False`, where `busbridge relay` runs, and
    `consume=False` leave these out. Leaving stops taking, lets handlers finish for the configured grace, publishes
    their consequences, settles, disconnects.

    `config`: one source or a list of layers, as `busbridge.routing.load` takes them; what `load` returned will do, but
    `load` raises the faults of the files before it knows the service. Entering raises TypeError for anything else. A
    bus belongs to one event loop and is opened once; its methods may be called concurrently.
    """

    def __init__(
        self,
        service: Service[R],
        config: ConfigSource | Iterable[ConfigSource] = "busbridge.yaml",
        *,
        consume: bool = True,
        relay: bool = True,
        transports: Transports | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.service = service
        self._sources = config
        self._consume = consume
        self._relaying = _POLL if relay else None
        self._bare = False
        self._transports = transports or InstalledTransports()
        self._observer = observer
        self._stack = AsyncExitStack()
        self._state = "new"
        self._workers: dict[str, Worker] = {}
        self._publishing: Publishing | None = None
        self._streams: Streams | None = None
        self._dead_letters: DeadLetters | None = None
        self._storing: Storing | None = None
        self._works: Works | None = None
        self._resources: Any = None

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise ClosedError(repr(self))
        self._state = "opening"
        try:
            async with AsyncExitStack() as stack:
                await self._open(stack)
                self._stack = stack.pop_all()
        except BaseException:
            self._publishing, self._storing, self._state = None, None, "closed"
            raise
        self._state = "open"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "closing"
        try:
            await self._stack.__aexit__(kind, error, traceback)
        finally:
            self._publishing = self._storing = self._works = None
            self._state = "closed"

    async def _open(self, stack: AsyncExitStack) -> None:
        config = joined([self.service], self._sources, self._transports)
        if not self._bare:
            self._resources = await entered(stack, self.service)
        self._storing = await opened_store(stack, self.service.name, config)
        transports = await connected(stack, self.service, config, self._transports)
        self._streams = Streams(self.service, config, self._transports, transports)
        stack.push_async_callback(self._streams.close)
        self._dead_letters = dead_letters_through(self.service.name, config, transports, self._storing)
        tracing, senders = detect(), senders_through(stack, config, transports)
        publishing = publishing_through(self.service, config, transports, senders, tracing, self._observer)
        self._publishing = publishing
        if self._storing is not None:
            self._storing.start(stack, config, senders, publishing, self._observer, relaying=self._relaying)
        opened = self._storing, self._resources, tracing, self._observer
        self._works = works_through(stack, self.service, config, transports, senders, publishing, *opened)
        if self._consume:
            await self._subscribe(stack, config, self._works)

    async def _subscribe(self, stack: AsyncExitStack, config: Config, works: Works) -> None:
        if not self.service.subscriptions:
            return
        tell_unreached(self.service, config)
        if self._storing is None:
            tell_without_store(self.service.name)
        stack.push_async_callback(self._stop, config.stop_grace)
        for plan in config.services[self.service.name].subscriptions.values():
            self._workers[plan.name] = await works.subscribed(plan)
        if self._storing is not None:
            await self._storing.tell_strangers(self.service)

    async def _stop(self, grace: float) -> None:
        stopping = (each.stop(grace) for each in self._workers.values())
        for result in await asyncio.gather(*stopping, return_exceptions=True):  # all, before anything else is left
            if isinstance(result, BaseException):
                raise result

    async def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay: timedelta | float | None = None,
        at: datetime | None = None,
    ) -> str:
        """Publishes to every destination of the message's route; returns its id once all have confirmed.

        `message_id`: to publish again what may have been published before; the default is a new one. Waits at most the
        configured timeout. Raises PublishError for what was refused or is unknown; before anything is sent
        UndeclaredContract, ClosedError, TypeError for what is no instance of a contract, pydantic's error where the
        message does not fit its contract, InvalidMessage for an empty key and InvalidEnvelope for an empty id or a
        reserved header name. Cancelling it does not take the message back.

        `delay`, in seconds or as a timedelta, or `at`, a time with its offset from UTC: it is published later, by the
        clock of the store's database, as soon as a process of the service runs then; returns once it is in the store.
        Then `cancel` takes it back, and publishing under the same `message_id` moves it. Raises ConfigurationError
        where the service has no store, ValueError for what is no such time, and as `transaction` does.
        """
        if delay is not None or at is not None:
            outbox = self._open_outbox()
            with outbox.collect().block() as later:
                chosen = later.publish(
                    message, message_id=message_id, correlation_id=correlation_id, headers=headers, delay=delay, at=at
                )
                await outbox.commit(later)
            return chosen
        publishing = self._open_publishing()
        prepared = publishing.prepare(message, message_id=message_id, correlation_id=correlation_id, headers=headers)
        failures = await publishing.send((prepared,))
        if failures:
            raise PublishError(failures, (prepared,))
        return prepared.id

    async def publish_many(
        self,
        messages: Iterable[Contract],
        *,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Publishes all messages, in order; returns their ids once all destinations have confirmed.

        Sends everything, then raises one PublishError for all that was refused or is unknown. Takes the messages as it
        sends them, so that a generator of millions needs little memory. What the iterable raises, or a message that
        does not fit its contract, ends it at once: of the messages before it some may have been published, none after.
        """
        publishing = self._open_publishing()
        prepared = (publishing.prepare(message, correlation_id=correlation_id, headers=headers) for message in messages)
        ids: list[str] = []
        failures: list[Undelivered] = []
        failed: list[Prepared] = []
        async with aclosing(in_batches(publishing, prepared)) as batches:
            async for batch, found in batches:
                ids.extend(each.id for each in batch)
                if found:
                    failures.extend(found)
                    failed.extend(missing(batch, found))
        if failures:
            raise PublishError(failures, failed)
        return ids

    async def cancel(self, message_id: str) -> bool:
        """Takes back a message that this service was to publish later: it is not published any more.

        False: it was published or taken back before, or never was. Raises as `transaction` does.
        """
        return await self._open_outbox().cancel(message_id)

    async def scheduled(self, *, limit: int = 1000) -> list[Scheduled]:
        """Up to `limit` messages that this service publishes later, the next one first. Raises as `transaction`."""
        return await self._open_outbox().scheduled(limit)

    async def resend(self, error: PublishError) -> None:
        """Sends what `error` lists again, with the same ids, to the destinations that had not confirmed it.

        Raises PublishError for what is still not confirmed.
        """
        prepared = missing(error.prepared, error.outcomes)
        failures = await self._open_publishing().send(prepared)
        if failures:
            raise PublishError(failures, prepared)

    def read(
        self,
        destination: str,
        contract: type[C],
        *,
        start: Start = "earliest",
        until: Until = "now",
        on_invalid: OnInvalid = "raise",
    ) -> StreamReader[C]:
        """Messages of one contract in a stream, without a subscription: `async for each in bus.read("log", Placed)`.

        No consumer group, nothing committed or settled, nothing left on the broker. The stream may be any of the
        configuration's. Older versions are lifted to `contract`; messages of other contracts are passed over.

        `start`: `earliest`, `latest`, an offset in every partition, or a time with its offset from UTC. `until`: `now`,
        the end the stream has when the first message is asked for; a time, for what was published before it and is
        there by then; None, to go on with what is published next. `on_invalid`: whether a message that can't be read
        is raised, as UnreadableMessage, or skipped.

        Raises ClosedError while the bus is not open; ConfigurationError for what is no stream, or one of a transport
        that is not `replayable`; ValueError. Reading raises PositionLost where messages that come next are gone from
        the stream, TopologyMismatch where it does not exist, AccessRefused, Unavailable.
        """
        if self._state != "open" or self._streams is None:
            raise self._not_open()
        return self._streams.reader(destination, contract, start, until, on_invalid)

    def dead_letters(self) -> DeadLetters:
        """The dead letters of the service's subscriptions: to look at, to send again, to discard.

        Raises ClosedError while the bus is not open.
        """
        if self._state != "open" or self._dead_letters is None:
            raise self._not_open()
        return self._dead_letters

    def replay(
        self,
        subscription: str,
        *,
        start: Start = "earliest",
        until: Until = "now",
        publish: Publish | None = None,
        run: str | None = None,
    ) -> Replay:
        """Hands a stream, or a part of it, once more to the handlers of one of the service's subscriptions.

            async with bus.replay("award-points", start="earliest") as replay:
                await replay.finished()

        Beside the subscription, which goes on where it is. Handlers see `context.run`. With a store each message has
        its effects once in each run; `run`, the id of one that was begun, goes on where that stood, with its `start`,
        its `until` and, unless another is given, its `publish`. Keys keep their order, and all attempts follow at once.

        `start` and `until` as `read` takes them, without None. `publish`: what becomes of what handlers publish: the
        run stops (`refuse`, the default; ReplayPublished), it goes out with ids of the run's own, or it does not.

        Raises ClosedError while the bus is not open; ConfigurationError for what is no subscription of a stream that is
        `replayable`, and for `run` without a store; ValueError. Entering it raises as `read` does, and ReplayTaken.
        """
        if self._works is None:
            raise self._not_open()
        config = self._works.config
        wanted = asked(self.service.name, config, self._transports, subscription, start, until, publish, run)
        return replay_of(self._works, wanted)

    def transaction(self) -> AbstractAsyncContextManager[BusTransaction]:
        """A transaction of the service's store: `async with bus.transaction() as tx: ...`.

        What is written through `tx.connection` or `tx.session` is committed at the end of the block, together with what
        `tx.publish` took, which then goes out as it would from a handler; an exception rolls all of it back. Raises
        ConfigurationError where the service has no store, ClosedError, and what keeps the store from committing:
        StoreUnavailable, StoreContention, CommitUnknown, StoreError.
        """
        return self._open_outbox().transaction()

    @overload
    def outbox(self, session: AsyncSession) -> AbstractAsyncContextManager[Collected]: ...

    @overload
    def outbox(self, session: Session | DjangoConnection) -> AbstractContextManager[Collected]: ...

    def outbox(
        self, session: AsyncSession | Session | DjangoConnection
    ) -> AbstractAsyncContextManager[Collected] | AbstractContextManager[Collected]:
        """Publishes in your own transaction: `async with bus.outbox(session) as tx: tx.publish(message)`.

        `session` is an AsyncSession; or for `with`, on any thread, a Session, or Django's connection inside of
        `transaction.atomic()`. It is on the database of the service's store. What was published is inserted at the end
        of the block, and yours to commit or to roll back; nothing is inserted if the block raises. Raises StoreError
        for another database, or no transaction of Django's; TypeError for anything else; and as `transaction` does.
        """
        return self._open_outbox().using(session)

    async def serve(self) -> None:
        """Waits until it is cancelled. Raises what stopped a subscription, or the relay, if one can't go on."""
        watched: list[Callable[[], Coroutine[Any, Any, None]]] = [each.failed for each in self._workers.values()]
        if self._storing is not None:
            watched.extend(self._storing.watched)
        if not watched:
            await asyncio.get_running_loop().create_future()
        failures = [asyncio.ensure_future(failed()) for failed in watched]
        try:
            await asyncio.wait(failures, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for each in failures:
                each.cancel()
            results = await asyncio.gather(*failures, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    @property
    def resources(self) -> R:
        """What the service's lifespan made, as handlers see it; None without one, and before the bus opens."""
        return self._resources  # type: ignore[no-any-return]  # the lifespan made it: an R

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By subscription: what became of its deliveries since the bus opened."""
        return {name: worker.counts for name, worker in self._workers.items()}

    @property
    def plans(self) -> Mapping[str, SubscriptionPlan]:
        """By subscription: what the configuration says of it."""
        return {name: worker.plan for name, worker in self._workers.items()}

    def _open_outbox(self) -> Outbox:
        self._open_publishing()
        if self._storing is None:
            name = self.service.name
            raise ConfigurationError([Fault(f"service {name!r} has no store", hint=f"add services.{name}.store")])
        return self._storing.outbox

    def _open_publishing(self) -> Publishing:
        if self._publishing is None:
            raise self._not_open()
        return self._publishing

    def _not_open(self) -> ClosedError:
        if self._state in {"new", "opening"}:
            return ClosedError(repr(self), "is not open yet: use `async with Bus(...)`")
        return ClosedError(repr(self))

    def __repr__(self) -> str:
        return f"<Bus of {self.service.name!r}, {self._state}, subscriptions {len(self._workers)}>"


def outbox_of(bus: Bus[Any]) -> Outbox:
    """The way into the outbox of an open bus, for what stands in front of one. Raises as `Bus.transaction`."""
    return bus._open_outbox()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module


def relay_of(service: Service[Any], config: Config, transports: Transports) -> Bus[Any]:
    """A bus that only publishes the outbox: no handler is called, and the lifespan made for handlers is not entered."""
    bus = Bus(service, config, consume=False, transports=transports)
    bus._bare, bus._relaying = True, _POLL_ALONE  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module
    return bus


async def relayed(bus: Bus[Any]) -> None:
    """Waits until the relay of a bus's store has nothing to do; not at all without a store."""
    if (storing := bus._storing) is not None:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module
        await storing.relayed()


async def advance(bus: Bus[Any], seconds: float) -> None:
    """Has all that waits among the timers of a bus's store come `seconds` sooner; nothing without a store."""
    if (storing := bus._storing) is not None:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module
        await storing.advance(seconds)
