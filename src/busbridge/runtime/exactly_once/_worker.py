"""A subscription at work that is `exactly_once`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.runtime.exactly_once._exactly import Exactly
from busbridge.runtime.handling._handling import Handling
from busbridge.runtime.handling._lanes import Lanes
from busbridge.runtime.handling._worker import Worker

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._dispatch import Dispatcher
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Transactional


async def exactly_once(
    transport: Transactional,
    plan: SubscriptionPlan,
    dispatcher: Dispatcher,
    publishing: Publishing,
    resources: Any,
    system: str,
    tracing: Tracing | None,
    observer: Observer | None,
) -> Worker:
    """Subscribes, as Transactional.subscribe_transactional does and raises, and handles what comes."""
    sources = [await transport.subscribe_transactional(plan)]
    if transport.capabilities.redrive:
        sources.append(await transport.redriven_transactional(plan))
    committing = [Exactly(each, plan, publishing, observer) for each in sources]
    any_of_them = committing[0]
    handling = Handling(plan, dispatcher, publishing, resources, system, tracing, any_of_them, any_of_them.enclose)
    for each in committing:
        each.start(handling)
    lanes = Lanes(plan.concurrency, handling.handle, handling.release, ordered=plan.ordered)
    handling.wait = lanes.wait
    return Worker(plan, committing, lanes, handling.counts, [handling.pausing])
