"""What a configuration lacks for services to work with it, as YAML to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.contract import info_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from busbridge.contract import Contract
    from busbridge.routing import Config
    from busbridge.runtime import Service


def missing_lines(services: Sequence[Service[Any]], config: Config) -> str:
    """The lines that `config` lacks, with a destination left open; empty where nothing is missing."""
    lines = [*_routes(services, config), *_services(services, config)]
    if not lines:
        return ""
    known = f"  # DESTINATION: one of {', '.join(config.destinations)}" if config.destinations else ""
    return "".join(f"{line}\n" for line in (f"{lines[0]}{known}", *lines[1:]))


def _routes(services: Iterable[Service[Any]], config: Config) -> Iterator[str]:
    published = _names_of(contract for service in services for contract in service.publishes)
    missing = [name for name in published if name not in config.routes]
    if missing:
        yield "routes:"
    yield from (f"  {name}: {{to: DESTINATION}}" for name in missing)


def _services(services: Iterable[Service[Any]], config: Config) -> Iterator[str]:
    missing = {service.name: lacking for service in services if (lacking := _lacking(service, config))}
    if missing:
        yield "services:"
    for service, names in missing.items():
        yield f"  {service}:"
        yield "    subscriptions:"
        yield from (f"      {name}: {{from: DESTINATION}}" for name in names)


def _lacking(service: Service[Any], config: Config) -> list[str]:
    plan = config.services.get(service.name)
    return [name for name in service.subscriptions if plan is None or name not in plan.subscriptions]


def _names_of(contracts: Iterable[type[Contract]]) -> list[str]:
    """The names of contracts, each once, in their order."""
    return list(dict.fromkeys(info_of(each).name for each in contracts))
