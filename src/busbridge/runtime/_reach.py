"""Which handlers the routes of a configuration lead to, and which they can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from busbridge.contract import info_of
from busbridge.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Config, Reading, RouteTarget, SubscriptionPlan
    from busbridge.runtime._service import Service, Subscription
    from busbridge.runtime.handling._handler import Handler


class Unreached(NamedTuple):
    """A handler that no route brings messages of one of its contracts: only what other producers write gets there."""

    subscription: str
    contract: str
    handler: Handler
    plan: SubscriptionPlan | None
    """What the configuration says of the subscription; None: nothing."""


def unreached(service: Service[Any], config: Config) -> Iterator[Unreached]:
    """Every such handler of the service, for each of its contracts."""
    plans = _plans(service, config)
    for name, subscription in service.subscriptions.items():
        plan = plans.get(name)
        for handler in subscription.handlers:
            for contract in dict.fromkeys(info_of(each).name for each in handler.contracts):
                if plan is None or not _is_reached(contract, plan, config):
                    yield Unreached(name, contract, handler, plan)


def unbound(service: Service[Any], reading: Reading) -> Iterator[Fault]:
    """A fault for each contract that is routed to the topic of a subscription that handles it, past its `match`.

    Who can't be told of: contracts that no route leads to the topic, which other producers may write there with any
    key; a topic that is said to hold them whatever their key (`assume`); and a match on headers, which may be given
    with each message.
    """
    config = reading.config
    for name, plan in _plans(service, config).items():
        path = ("services", service.name, "subscriptions", name)
        if name in service.subscriptions and not _is_told(path, reading):
            yield from _past(plan, service.subscriptions[name], reading)


def _past(plan: SubscriptionPlan, subscription: Subscription[Any], reading: Reading) -> Iterator[Fault]:
    if any(binding.pattern is None for binding in plan.bindings):
        return
    where = reading.config.locate(("services", plan.service, "subscriptions", plan.name, "match"))
    taken = ", ".join(str(binding.pattern) for binding in plan.bindings)
    for contract in dict.fromkeys(info_of(each).name for each in subscription.contracts):
        target = _target(contract, plan, reading.config)
        if target is None or _is_reached(contract, plan, reading.config) or _is_assumed(contract, plan):
            continue
        if reading.unread.within(("routes", contract)):
            continue
        problem = (
            f"{contract!r} is handled here, and never comes: "
            f"it is routed to {plan.destination.name} with the key {target.routing_key!r}, and this takes {taken}"
        )
        yield Fault(problem, where, f"add {target.routing_key} to `match`, or remove the handler")


def _plans(service: Service[Any], config: Config) -> dict[str, SubscriptionPlan]:
    section = config.services.get(service.name)
    return dict(section.subscriptions) if section else {}


def _is_told(path: tuple[str, ...], reading: Reading) -> bool:
    """Whether there is a fault in what a subscription matches already: what follows from it is not told."""
    match = (*path, "match")
    return reading.unread.within(match) or any(each.location.path[: len(match)] == match for each in reading.faults)


def _target(contract: str, plan: SubscriptionPlan, config: Config) -> RouteTarget | None:
    """Where the contract's route leads to the subscription's destination."""
    route = config.routes.get(contract)
    return next((each for each in route.targets if each.destination == plan.destination), None) if route else None


def _is_reached(contract: str, plan: SubscriptionPlan, config: Config) -> bool:
    target = _target(contract, plan, config)
    return target is not None and plan in config.receivers(target)


def _is_assumed(contract: str, plan: SubscriptionPlan) -> bool:
    return (plan.destination.assume or "").partition("@")[0] == contract
