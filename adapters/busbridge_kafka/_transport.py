"""The Kafka transport: streams are Kafka topics, subscriptions are consumer groups."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from busbridge.errors import AccessRefused, ClosedError, Unavailable
from busbridge.routing import Kind
from busbridge.transport import Capabilities
from busbridge_kafka import _errors as errors
from busbridge_kafka import _options as options
from busbridge_kafka import _redrives as redrives
from busbridge_kafka import _removal as removal
from busbridge_kafka import _topology as topology_of
from busbridge_kafka._admin import SECONDS, Admin
from busbridge_kafka._delivery import KafkaDelivery, WaitedDelivery
from busbridge_kafka._graves import KafkaDeadLetters
from busbridge_kafka._history import KafkaHistory
from busbridge_kafka._log import ClientLog
from busbridge_kafka._producer import Publisher
from busbridge_kafka._rebalance import DEFAULT_PREFETCH
from busbridge_kafka._redriven import Lookout, RedrivenSource, RedrivenTransactionalSource
from busbridge_kafka._source import KafkaSource
from busbridge_kafka._span import Span, resolve
from busbridge_kafka._tier import TierSource, tier_plan
from busbridge_kafka._transactional_source import KafkaTransactionalSource
from busbridge_kafka._transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from confluent_kafka import TopicPartition

    from busbridge.errors import Fault
    from busbridge.routing import Destination, StartAt, SubscriptionPlan, Topology, TransportSettings
    from busbridge.transport import Entry, Outcome, Part, Until

_log: Final = logging.getLogger("busbridge.kafka")

CAPABILITIES: Final = Capabilities(
    kinds=frozenset({Kind.STREAM}),
    compaction=True,
    retention=True,
    replayable=True,
    delays=True,
    redrive=True,
    positions=True,
    transactions=True,
    survives_restart=True,
    default_prefetch=DEFAULT_PREFETCH,
)
PROBE_SECONDS: Final = 5.0
"""For one attempt to reach the broker; the client tries again within it, with jittered back-off."""
PAUSE: Final = (0.2, 0.6)
"""Seconds between two attempts to provision, jittered."""
CLOSE_SECONDS: Final = 5.0
"""For what is unconfirmed when the transport is closed."""


@final
class KafkaTransport:
    """One Kafka cluster, as one process uses it: one producer for everything, one consumer for each subscription."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES
    system: ClassVar[str] = "kafka"
    header_prefix: ClassVar[str] = "ce_"

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._brokers = options.bootstrap(settings)
        self._publisher: Publisher | None = None
        self._sources: list[
            KafkaSource | TierSource | RedrivenSource | KafkaTransactionalSource | RedrivenTransactionalSource
        ] = []
        self._lookout = Lookout(self._admin)
        self._histories: set[KafkaHistory] = set()
        self._errors = ClientLog()
        self._last_error: KafkaError | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._publisher else "new"
        return f"<KafkaTransport {self._brokers}, {state}, {len(self._sources)} subscriptions>"

    @classmethod
    def check(cls, settings: TransportSettings) -> Iterable[Fault]:
        """See `Transport.check`."""
        return options.check(settings)

    async def open(self) -> None:
        """See `Transport.open`."""
        await self._reach()
        self._publisher = Publisher(self._make_producer)

    async def provision(self, topology: Topology) -> None:
        """See `Transport.provision`."""
        await self._administer(topology_of.provision, topology)

    async def remove(self, topology: Topology) -> None:
        """See `Transport.remove`."""
        await self._administer(removal.remove, topology)

    async def _administer(self, act: Callable[[Admin, Topology], Awaitable[None]], topology: Topology) -> None:
        """Again and again, since a cluster may be without a controller for a while; what was done already is found.

        Raises Unavailable when patience is at an end, and what does not pass at once.
        """
        self._opened()
        deadline = time.monotonic() + self._settings.patience
        while (error := await self._administered(act, topology)) is not None:
            if time.monotonic() >= deadline:
                raise errors.unavailable(self._brokers, self._settings.patience, error)
            _log.warning("%r waits for its cluster: %s", self, error.str())
            await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311 - jitter

    async def _administered(
        self, act: Callable[[Admin, Topology], Awaitable[None]], topology: Topology
    ) -> KafkaError | None:
        """What it failed for that may pass by itself; None once it is done."""
        try:
            with self._admin() as admin:
                await act(admin, topology)
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            if error.code() not in errors.PASSING:
                raise self._explained(error) from failure
            return error
        except TimeoutError:
            return self._last_error or KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001 - its name for it
        return None

    async def publish(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:
        """See `Transport.publish`."""
        return await self._opened().publish(entries, seconds)

    async def subscribe(self, plan: SubscriptionPlan) -> KafkaSource:
        """See `Transport.subscribe`."""
        source = self._source(plan, plan)
        await source.start()
        self._sources.append(source)
        return source

    async def returning(self, plan: SubscriptionPlan) -> Sequence[TierSource]:
        """See `Delaying.returning`: a consumer for each tier."""
        tiers = [self._tier(plan, *each) for each in zip(plan.waiting, plan.retry.tiers, strict=True)]
        self._sources += tiers
        await asyncio.gather(*(each.start() for each in tiers))
        return tiers

    def _tier(self, plan: SubscriptionPlan, name: str, seconds: float) -> TierSource:
        return TierSource(self._source(tier_plan(plan, name), plan, WaitedDelivery), seconds)

    async def redriven(self, plan: SubscriptionPlan) -> RedrivenSource:
        """See `Redrivable.redriven`."""
        again = redrives.plan_of(plan)
        source = RedrivenSource(again.destination.physical, self._lookout, lambda: self._source(again, plan))
        self._sources.append(source)
        return source

    def _source(
        self, plan: SubscriptionPlan, origin: SubscriptionPlan, deliver: type[KafkaDelivery] = KafkaDelivery
    ) -> KafkaSource:
        """Of what `plan` takes; dead letters and tiers are those of `origin`."""
        prefetch = plan.prefetch or CAPABILITIES.default_prefetch
        make = partial(self._make_consumer, plan)
        publisher, patience = self._opened(), self._settings.patience
        return KafkaSource(plan, prefetch, publisher, make, self._refused, patience, origin=origin, deliver=deliver)

    async def dead_letters(self, plan: SubscriptionPlan) -> KafkaDeadLetters:
        """See `Redrivable.dead_letters`."""
        place = KafkaDeadLetters(plan, self._opened(), self._admin, self.read, self._explained)
        await place.open()
        return place

    async def subscribe_transactional(self, plan: SubscriptionPlan) -> KafkaTransactionalSource:
        """See `Transactional.subscribe_transactional`."""
        source = self._transactional_source(plan, plan)
        await source.start()
        self._sources.append(source)
        return source

    async def redriven_transactional(self, plan: SubscriptionPlan) -> RedrivenTransactionalSource:
        """See `Transactional.redriven_transactional`."""
        again = redrives.plan_of(plan)
        name = again.destination.physical
        source = RedrivenTransactionalSource(name, self._lookout, lambda: self._transactional_source(again, plan))
        self._sources.append(source)
        return source

    def _transactional_source(self, plan: SubscriptionPlan, origin: SubscriptionPlan) -> KafkaTransactionalSource:
        return KafkaTransactionalSource(plan, self._source(plan, origin), self._new_transactions(plan), origin)

    def _new_transactions(self, plan: SubscriptionPlan) -> Transactions:
        name = f"{plan.group}.{uuid.uuid4()}"  # of this member alone: the group's generation fences, not the name
        make = partial(self._make_transactional, name)
        return Transactions(plan.group, make, partial(self._positions, plan.group), self._refused)

    def _make_transactional(self, name: str) -> Producer:
        return Producer(options.transactional_options(self._settings, name, self._note))

    def _positions(self, group: str, partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
        with self._admin() as admin:
            return admin.positions(group, partitions)

    async def read(self, destination: Destination, start: StartAt, until: Until) -> KafkaHistory:
        """See `Replayable.read`."""
        name = destination.physical
        return await self._history(name, lambda consumer: resolve(consumer, name, start, until))

    async def read_parts(self, destination: Destination, parts: Mapping[int, Part]) -> KafkaHistory:
        """See `Replayable.read_parts`."""
        name = destination.physical
        return await self._history(name, lambda _: [Span(name, index, *part) for index, part in parts.items()])

    async def _history(self, name: str, resolved: Callable[[Consumer], list[Span]]) -> KafkaHistory:
        self._opened()
        history = KafkaHistory(
            name,
            partial(_make_reader, self._settings),
            resolved,
            self._refused_reader,
            self._settings.patience,
            self._histories.discard,
        )
        self._histories.add(history)
        await history.begin()
        return history

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._closed:
            return
        self._closed = True
        await self._lookout.close()
        closing = [each.close() for each in self._sources]
        await asyncio.gather(*closing, *[each.close() for each in self._histories])
        if self._publisher is not None:
            await self._publisher.close(CLOSE_SECONDS)

    def _admin(self) -> Admin:
        return Admin(options.admin_options(self._settings, self._note))

    def _opened(self) -> Publisher:
        if self._closed or self._publisher is None:
            raise ClosedError("the Kafka transport")
        return self._publisher

    def _make_producer(self, on_stranded: Callable[[], None]) -> Producer:
        return Producer(options.producer_options(self._settings, self._note, on_stranded))

    def _make_consumer(
        self,
        plan: SubscriptionPlan,
        on_error: Callable[[KafkaError], None],
        on_commit: Callable[..., None],
        on_stranded: Callable[[], None],
    ) -> Consumer:
        chosen = options.consumer_options(self._settings, plan, on_error, on_stranded)
        return Consumer({**chosen, "on_commit": on_commit})

    async def _reach(self) -> None:
        """Waits for the broker; raises AccessRefused at once, Unavailable when patience is at an end.

        Each attempt is a new client's: one that has been told of a controller goes on waiting for that when it is dead.
        """
        deadline = time.monotonic() + self._settings.patience
        while not await self._answers(min(PROBE_SECONDS, self._settings.patience)):
            if time.monotonic() >= deadline:
                raise errors.unavailable(self._brokers, self._settings.patience, self._last_error)

    async def _answers(self, seconds: float) -> bool:
        with self._admin() as admin:
            probe = admin.probe(seconds)
            while not probe.done():
                admin.poll()  # serves `_note`
                self._raise_refused()
                await asyncio.sleep(0.01)
        failure = probe.exception()
        if isinstance(failure, KafkaException):
            self._last_error = self._last_error or failure.args[0]
            self._raise_refused()
        return failure is None

    def _note(self, error: KafkaError) -> None:
        """The client's callback for errors that belong to no message."""
        what = "Kafka at" if self._publisher else "waiting for Kafka at"
        self._errors.error(f"{what} {self._brokers}", error)
        self._last_error = error

    def _raise_refused(self) -> None:
        if self._last_error is not None and (refused := self._refused(self._last_error)) is not None:
            raise refused

    def _refused(self, error: KafkaError) -> AccessRefused | None:
        return errors.access_refused(self._settings, self._brokers, error) if errors.is_access(error) else None

    def _refused_reader(self, error: KafkaError) -> AccessRefused | None:
        """Who reads needs no group, and so no permission for one."""
        return None if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED else self._refused(error)

    def _explained(self, error: KafkaError) -> AccessRefused | Unavailable:
        return self._refused(error) or errors.unavailable(self._brokers, SECONDS, error)


def _make_reader(
    settings: TransportSettings, on_error: Callable[[KafkaError], None], on_stranded: Callable[[], None]
) -> Consumer:
    return Consumer(options.reader_options(settings, on_error, on_stranded))
