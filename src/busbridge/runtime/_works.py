"""How the handlers of an open service are set to work on what a source brings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from busbridge.contract import Registry
from busbridge.runtime.handling._dispatch import Dispatcher
from busbridge.runtime.handling._handling import Handling
from busbridge.runtime.handling._lanes import Lanes
from busbridge.runtime.handling._worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor
    from contextlib import AsyncExitStack

    from busbridge.routing import Config, SubscriptionPlan
    from busbridge.runtime._service import Service
    from busbridge.runtime.effects._storing import Storing
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.runtime.publishing._sender import Sender
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Delaying, Redrivable, Source, Transactional, Transport


_THREADS: Final = 32
"""Handlers that are plain functions and run at a time, in all subscriptions of a bus."""


@final
@dataclass(frozen=True, slots=True)
class Works:
    """What all subscriptions of an open bus have in common."""

    service: Service[Any]
    config: Config
    transports: Mapping[str, Transport]
    senders: Mapping[str, Sender]
    publishing: Publishing
    storing: Storing | None
    resources: Any
    executor: Executor
    tracing: Tracing | None
    observer: Observer | None

    async def subscribed(self, declared: SubscriptionPlan) -> Worker:
        """Takes from the broker, as Transport.subscribe does and raises; by transactions where the plan says so."""
        plan = replace(declared, version=self.service.version)
        transport = self.transports[plan.destination.transport]
        if plan.exactly_once:
            from busbridge.runtime.exactly_once._worker import exactly_once  # noqa: PLC0415 - few need it

            return await exactly_once(cast("Transactional", transport), plan, *self._common(plan))
        sources = [await transport.subscribe(plan)]
        if plan.retry.tiers:
            sources += await cast("Delaying", transport).returning(plan)
        if transport.capabilities.redrive:
            redriven = await cast("Redrivable", transport).redriven(plan)
            sources += [] if redriven is None else [redriven]
        return self.worker(plan, *sources)

    def worker(self, plan: SubscriptionPlan, *sources: Source) -> Worker:
        """Chooses, once, between the way through the store and the shorter one without.

        `sources`: what brings deliveries. The first is the broker's own; others bring what comes by another way.
        """
        common = self._common(plan)
        if self.storing is not None:
            return self.storing.work(plan, sources, *common)
        handling = Handling(plan, *common)
        lanes = Lanes(plan.concurrency, handling.handle, handling.release, ordered=plan.ordered)
        handling.wait = lanes.wait
        return Worker(plan, sources, lanes, handling.counts, [handling.pausing])

    def _common(
        self, plan: SubscriptionPlan
    ) -> tuple[Dispatcher, Publishing, Any, str, Tracing | None, Observer | None]:
        """What every way of handling takes."""
        system = self.transports[plan.destination.transport].system
        return self._dispatcher(plan), self.publishing, self.resources, system, self.tracing, self.observer

    def _dispatcher(self, plan: SubscriptionPlan) -> Dispatcher:
        handlers = self.service.subscriptions[plan.name].handlers
        prefix = self.transports[plan.destination.transport].header_prefix
        return Dispatcher(plan, handlers, Registry(self.service.contracts), self.executor, prefix)


def works_through(
    stack: AsyncExitStack,
    service: Service[Any],
    config: Config,
    transports: Mapping[str, Transport],
    senders: Mapping[str, Sender],
    publishing: Publishing,
    storing: Storing | None,
    resources: Any,
    tracing: Tracing | None,
    observer: Observer | None,
) -> Works:
    """Of a bus that is being opened; the pool of threads for handlers that are plain functions goes with `stack`."""
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"busbridge-{service.name}")
    stack.callback(executor.shutdown, wait=False, cancel_futures=True)
    return Works(service, config, transports, senders, publishing, storing, resources, executor, tracing, observer)
