"""Physical names with a prefix: several installations, or several test runs, on one broker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busbridge.routing._config import Config, Route, ServicePlan
    from busbridge.routing._topology import Destination


def namespaced(config: Config, namespace: str) -> Config:
    """The same configuration with `namespace` before every physical name, but for what exists already."""
    moved = {name: _moved(each, namespace) for name, each in config.destinations.items()}
    return replace(
        config,
        destinations=moved,
        routes={name: _rerouted(each, moved) for name, each in config.routes.items()},
        services={name: _resubscribed(each, moved, namespace) for name, each in config.services.items()},
    )


def _moved(destination: Destination, namespace: str) -> Destination:
    return replace(destination, physical=namespace + destination.physical) if destination.provision else destination


def _rerouted(route: Route, moved: dict[str, Destination]) -> Route:
    targets = (replace(each, destination=moved[each.destination.name]) for each in route.targets)
    return replace(route, targets=tuple(targets))


def _resubscribed(service: ServicePlan, moved: dict[str, Destination], namespace: str) -> ServicePlan:
    subscriptions = {
        name: replace(each, destination=moved[each.destination.name], namespace=namespace)
        for name, each in service.subscriptions.items()
    }
    return replace(service, subscriptions=subscriptions)
