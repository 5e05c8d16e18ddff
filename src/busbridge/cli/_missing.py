"""What a configuration lacks for services to work with it, as YAML to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.runtime import missing_routes, missing_subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from busbridge.routing import Reading
    from busbridge.runtime import Service


def missing_lines(services: Sequence[Service[Any]], reading: Reading) -> str:
    """The lines that the configuration lacks, with a destination left open; empty where nothing is missing."""
    lines = [*_routes(services, reading), *_services(services, reading)]
    if not lines:
        return ""
    destinations = reading.config.destinations
    known = f"  # DESTINATION: one of {', '.join(destinations)}" if destinations else ""
    return "".join(f"{line}\n" for line in (f"{lines[0]}{known}", *lines[1:]))


def _routes(services: Iterable[Service[Any]], reading: Reading) -> Iterator[str]:
    missing = dict.fromkeys(name for service in services for name in missing_routes(service, reading))
    if missing:
        yield "routes:"
    yield from (f"  {name}: {{to: DESTINATION}}" for name in missing)


def _services(services: Iterable[Service[Any]], reading: Reading) -> Iterator[str]:
    missing = {each.name: lacking for each in services if (lacking := missing_subscriptions(each, reading))}
    if missing:
        yield "services:"
    for service, names in missing.items():
        yield f"  {service}:"
        yield "    subscriptions:"
        yield from (f"      {name}: {{from: DESTINATION}}" for name in names)
