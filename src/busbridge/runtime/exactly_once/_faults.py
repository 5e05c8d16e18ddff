"""Where the routes of a service lead out of the transactions of its subscriptions that ask for `exactly_once`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.contract import info_of
from busbridge.errors import Fault
from busbridge.routing import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Config, Destination, Reading, SubscriptionPlan
    from busbridge.runtime._service import Service


def exactly_once_faults(service: Service[Any], reading: Reading) -> Iterator[Fault]:
    """A fault for each destination that such a subscription can't publish to in its transaction.

    What a handler publishes is known when it runs: whatever the service may publish counts.
    """
    for plan in _exact(service, reading.config):
        for name in dict.fromkeys(info_of(contract).name for contract in service.publishes):
            yield from _route_faults(plan, name, reading.config)


def _exact(service: Service[Any], config: Config) -> Iterator[SubscriptionPlan]:
    section = config.services.get(service.name)
    for plan in section.subscriptions.values() if section else ():
        if plan.exactly_once and plan.destination.kind is Kind.STREAM and plan.name in service.subscriptions:
            yield plan


def _route_faults(plan: SubscriptionPlan, contract: str, config: Config) -> Iterator[Fault]:
    route = config.routes.get(contract)
    for target in route.targets if route else ():
        if (why := _outside(target.destination, plan)) is not None:
            yield Fault(
                f"{plan.service}.{plan.name} is `exactly_once`, and this goes to {target.destination.name}, {why}",
                config.locate(("routes", contract, "to")),
                f"leave `exactly_once` out and add services.{plan.service}.store: what a handler publishes then goes "
                "through its outbox, to any destination, once for each message",
            )


def _outside(destination: Destination, plan: SubscriptionPlan) -> str | None:
    """Why no transaction of the subscription reaches the destination."""
    if destination.kind is not Kind.STREAM:
        return f"which is a {destination.kind}"
    if destination.transport != plan.destination.transport:
        return f"which is of transport {destination.transport!r}, and it reads from {plan.destination.transport!r}"
    return None
