"""A configuration that was loaded and checked whole: where contracts go, and what each service subscribes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

from busbridge.contract import CATALOG
from busbridge.errors import Location
from busbridge.routing._patterns import takes
from busbridge.routing._topology import Kind, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from busbridge.routing._settings import TransportSettings
    from busbridge.routing._store_plan import StorePlan
    from busbridge.routing._topology import Destination, SubscriptionPlan

KeyPath: TypeAlias = "tuple[str | int, ...]"
"""The keys and list indices that lead to a place in the configuration."""


@final
@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One destination of a route, and what a topic routes the message by."""

    destination: Destination
    routing_key: str
    """The contract's name unless the route says otherwise."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@final
@dataclass(frozen=True, slots=True)
class Route:
    """Where messages of one contract go: to every target."""

    contract: str
    targets: tuple[RouteTarget, ...]


@final
@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service of the configuration. Without subscriptions it only publishes."""

    name: str
    subscriptions: Mapping[str, SubscriptionPlan] = field(default_factory=dict[str, "SubscriptionPlan"])
    store: StorePlan | None = None
    """None: nothing happens exactly once."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class Config:
    """What `load` returns. Immutable; every name in it is resolved, every default filled in."""

    transports: Mapping[str, TransportSettings] = field(default_factory=dict[str, "TransportSettings"])
    destinations: Mapping[str, Destination] = field(default_factory=dict[str, "Destination"])
    routes: Mapping[str, Route] = field(default_factory=dict[str, Route])
    """By the contract's name."""
    services: Mapping[str, ServicePlan] = field(default_factory=dict[str, ServicePlan])
    catalog: str = CATALOG
    """The base URI of `dataschema`."""
    publish_timeout: float = 30.0
    """Seconds until an unconfirmed publish is given up as unknown."""
    stop_grace: float = 25.0
    """Seconds that handlers in flight have when the bus stops."""
    places: Mapping[KeyPath, Location] = field(default_factory=dict[KeyPath, Location], compare=False)
    """Where each key stands; read it with `locate`."""

    def topology(self, transport: str) -> Topology:
        """What one transport must provide, for the subscriptions of all services."""
        destinations = tuple(each for each in self.destinations.values() if each.transport == transport)
        subscriptions = tuple(each for each in self.subscriptions() if each.destination.transport == transport)
        return Topology(destinations, subscriptions)

    def subscriptions(self) -> Iterator[SubscriptionPlan]:
        """Every subscription of every service, in the order of the files."""
        for service in self.services.values():
            yield from service.subscriptions.values()

    def receivers(self, target: RouteTarget) -> tuple[SubscriptionPlan, ...]:
        """The subscriptions that get what goes to `target`: of a queue they share it, else each gets a copy."""
        there = (each for each in self.subscriptions() if each.destination.name == target.destination.name)
        if target.destination.kind is not Kind.TOPIC:
            return tuple(there)
        key, headers = target.routing_key, target.headers
        return tuple(each for each in there if any(takes(binding, key, headers) for binding in each.bindings))

    def locate(self, path: KeyPath) -> Location:
        """The place of `path`: file and line of the key, or of the nearest key above it that is there."""
        return locate(self.places, path)

    def __repr__(self) -> str:
        parts = {
            "transport": self.transports,
            "destination": self.destinations,
            "route": self.routes,
            "service": self.services,
        }
        counted = (f"{len(held)} {word}{'s' * (len(held) != 1)}" for word, held in parts.items())
        return f"<Config: {', '.join(counted)}>"


def locate(places: Mapping[KeyPath, Location], path: KeyPath) -> Location:
    """The place of `path` among `places`, or of the nearest key above it."""
    for length in range(len(path), -1, -1):
        if place := places.get(path[:length]):
            return Location(path, place.file, place.line)
    return Location(path)
