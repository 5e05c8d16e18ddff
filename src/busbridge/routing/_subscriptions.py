"""The `services` section: each subscription joined with its destination, defaults filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busbridge.routing._bindings import bindings_of, well_formed
from busbridge.routing._config import ServicePlan
from busbridge.routing._destinations import refuse_misplaced
from busbridge.routing._exactly_once import check_exactly_once
from busbridge.routing._on_failure import on_failure
from busbridge.routing._pauses import pause_plan
from busbridge.routing._retries import retry_plan
from busbridge.routing._routes import keys_routed_to
from busbridge.routing._stores import check_window, store_plan
from busbridge.routing._telling import telling
from busbridge.routing._topology import Binding, Destination, Kind, Others, StartAt, SubscriptionPlan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from busbridge.routing._config import KeyPath, Route
    from busbridge.routing._model import ServiceSection, SubscriptionSection
    from busbridge.routing._on_failure import OnFailure
    from busbridge.routing._problems import Problems
    from busbridge.routing._retry_plan import RetryPlan

ONLY_FOR: Final[Mapping[str, tuple[Kind, ...]]] = {
    "match": (Kind.TOPIC,),
    "headers": (Kind.TOPIC,),
    "match_headers": (Kind.TOPIC,),
    "durable": (Kind.TOPIC,),
    "start": (Kind.STREAM,),
}
"""Keys that mean something for a subscription of some kinds of destination only."""


def services(
    sections: Mapping[str, ServiceSection],
    destinations: Mapping[str, Destination],
    routes: Collection[Route],
    known: Collection[str],
    problems: Problems,
) -> dict[str, ServicePlan]:
    """Every service; `known` are the names of all destinations, also of those with faults of their own."""
    result: dict[str, ServicePlan] = {}
    for service, section in sections.items():
        store = None if section.store is None else store_plan(("services", service, "store"), section.store, problems)
        plans: dict[str, SubscriptionPlan] = {}
        for name, each in section.subscriptions.items():
            path = ("services", service, "subscriptions", name)
            _check_alone(path, each, problems)
            destination = _destination(path, each, destinations, known, problems)
            if destination is None:
                well_formed(each.match or (), (*path, "match"), problems)
                problems.unread.add(path)
                continue
            _check(path, each, destination, problems)
            bindings = _bindings(path, each, destination, routes, problems)
            retry = _retry(path, each, destination, section, problems)
            if each.exactly_once:
                check_exactly_once(path, destination, retry, stored=_stored(path, section, problems), problems=problems)
            told = telling((*path, "dead_letters"), each.dead_letters, problems)
            failing = _on_failure(path, each, destination, retry, problems, stored=_stored(path, section, problems))
            pause = pause_plan((*path, "pause"), each.pause, problems)
            plan = _plan(service, name, each, destination, bindings, retry)
            plans[name] = replace(plan, telling=told, on_failure=failing, pause=pause)
        if store is not None:
            check_window(("services", service, "store"), store, plans.values(), problems)
        result[service] = ServicePlan(service, plans, store)
    return result


def _retry(
    path: KeyPath,
    section: SubscriptionSection,
    destination: Destination,
    service: ServiceSection,
    problems: Problems,
) -> RetryPlan:
    stored, ordered = _stored(path, service, problems), _ordered(section, destination)
    durable = destination.durable and section.durable is not False
    at = (*path, "retry")
    return retry_plan(at, section.retry, ordered=ordered, durable=durable, stored=stored, problems=problems)


def _on_failure(
    path: KeyPath,
    section: SubscriptionSection,
    destination: Destination,
    retry: RetryPlan,
    problems: Problems,
    *,
    stored: bool,
) -> OnFailure | None:
    ordered = _ordered(section, destination)
    return on_failure(path, section.on_failure, retry, ordered=ordered, stored=stored, problems=problems)


def _stored(path: KeyPath, service: ServiceSection, problems: Problems) -> bool:
    """Whether the service of the subscription at `path` has a store, perhaps one that could not be read."""
    return service.store is not None or problems.unread.within((*path[:2], "store"))


def _ordered(section: SubscriptionSection, destination: Destination) -> bool:
    return destination.ordered if section.ordered is None else section.ordered


def _destination(
    path: KeyPath,
    section: SubscriptionSection,
    destinations: Mapping[str, Destination],
    known: Collection[str],
    problems: Problems,
) -> Destination | None:
    """The destination of a subscription, if that could be read."""
    if (*path, "from") in problems.unread:
        return None
    problems.refer((*path, "from"), "destinations", section.source, known)
    return destinations.get(section.source)


def _plan(
    service: str,
    name: str,
    section: SubscriptionSection,
    destination: Destination,
    bindings: tuple[Binding, ...],
    retry: RetryPlan,
) -> SubscriptionPlan:
    default = Others.DEAD_LETTER if destination.kind is Kind.QUEUE else Others.DISCARD
    return SubscriptionPlan(
        service=service,
        name=name,
        destination=destination,
        bindings=bindings,
        concurrency=section.concurrency,
        prefetch=section.prefetch,
        start=StartAt() if section.start is None else StartAt(section.start),
        ordered=_ordered(section, destination),
        durable=section.durable is not False,
        others=section.others or default,
        retry=retry,
        exactly_once=bool(section.exactly_once),
    )


def _check(path: KeyPath, section: SubscriptionSection, destination: Destination, problems: Problems) -> None:
    refuse_misplaced(path, destination.kind, ONLY_FOR, section.model_fields_set, problems)
    if section.ordered and not destination.ordered:
        hint = f"add `ordered: true` to destinations.{destination.name}" if destination.kind is Kind.QUEUE else None
        problem = f"found true, but the {destination.kind} {destination.name} has no order"
        problems.add((*path, "ordered"), problem, hint, because=("destinations", destination.name, "ordered"))


def _check_alone(path: KeyPath, section: SubscriptionSection, problems: Problems) -> None:
    """What is wrong whatever the destination is."""
    if section.headers and section.match:
        problems.add((*path, "match"), "`match` and `headers` exclude each other", "use two subscriptions")
    if section.match_headers and not section.headers:
        problem = "it says how `headers` match, and there are none"
        problems.add((*path, "match_headers"), problem, because=(*path, "headers"))


def _bindings(
    path: KeyPath,
    section: SubscriptionSection,
    destination: Destination,
    routes: Iterable[Route],
    problems: Problems,
) -> tuple[Binding, ...]:
    if destination.kind is not Kind.TOPIC:
        return ()
    if section.headers:
        return (Binding(None, section.headers, match_all=section.match_headers != "any"),)
    keys = keys_routed_to(destination.name, routes)
    return bindings_of(section.match or ["#"], keys, (*path, "match"), problems)
