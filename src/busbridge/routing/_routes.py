"""The `routes` section: every contract to its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.routing._config import Route, RouteTarget
from busbridge.routing._topology import Destination, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from busbridge.routing._config import KeyPath
    from busbridge.routing._model import RouteSection, TargetSection
    from busbridge.routing._problems import Problems


def routes(
    sections: Mapping[str, RouteSection],
    destinations: Mapping[str, Destination],
    known: Collection[str],
    problems: Problems,
) -> dict[str, Route]:
    """Every route; `known` are the names of all destinations, also of those with faults of their own."""
    result: dict[str, Route] = {}
    for contract, section in sections.items():
        path = ("routes", contract, "to")
        _check(path, section.to, destinations, known, problems)
        targets = (_target(contract, each, destinations) for each in section.to)
        result[contract] = Route(contract, tuple(each for each in targets if each is not None))
        if len(result[contract].targets) < len(section.to):
            problems.unread.add(("routes", contract))
    return result


def keys_routed_to(topic: str, known: Iterable[Route]) -> list[str]:
    """The routing keys with which messages reach `topic`."""
    return sorted({each.routing_key for route in known for each in route.targets if each.destination.name == topic})


def _target(contract: str, section: TargetSection, destinations: Mapping[str, Destination]) -> RouteTarget | None:
    destination = destinations.get(section.destination)
    if destination is None:
        return None
    return RouteTarget(destination, section.routing_key or contract, section.headers)


def _check(
    path: KeyPath,
    targets: Iterable[TargetSection],
    destinations: Mapping[str, Destination],
    known: Collection[str],
    problems: Problems,
) -> None:
    seen: set[str] = set()
    for index, target in enumerate(targets):
        place = (*path, index) if (*path, index) in problems.places else path
        problems.refer(place, "destinations", target.destination, known)
        if target.destination in seen:
            problems.add(place, f"{target.destination} stands here twice")
        seen.add(target.destination)
        destination = destinations.get(target.destination)
        if destination and destination.kind is not Kind.TOPIC and (target.routing_key or target.headers):
            problems.add(place, f"routing_key and headers are for a topic; {destination.name} is a {destination.kind}")
