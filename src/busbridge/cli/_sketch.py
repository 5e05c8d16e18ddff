"""A configuration made up for services that have none: one topic in memory, each subscription takes from it its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.contract import info_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from busbridge.contract import Contract
    from busbridge.runtime import Service

_HEAD = """\
transports:
  memory: {url: "memory://"}
destinations:
  messages: {kind: topic, transport: memory, unrouted: ignore}
"""


def sketch(services: Sequence[Service[Any]]) -> str:
    """The YAML with which `services` work together in memory, ready to be kept and edited."""
    return _HEAD + "".join(f"{line}\n" for line in (*_routes(services), *_services(services)))


def _routes(services: Iterable[Service[Any]]) -> Iterator[str]:
    names = names_of(contract for service in services for contract in service.contracts)
    if names:
        yield "routes:"
    yield from (f"  {name}: {{to: messages}}" for name in names)


def _services(services: Iterable[Service[Any]]) -> Iterator[str]:
    yield "services:"
    for service in services:
        yield f"  {service.name}:"
        if service.subscriptions:
            yield "    subscriptions:"
        for name, subscription in service.subscriptions.items():
            yield f"      {name}: {{from: messages, match: [{', '.join(names_of(subscription.contracts))}]}}"


def names_of(contracts: Iterable[type[Contract]]) -> list[str]:
    """The names of contracts, each once, in their order."""
    return list(dict.fromkeys(info_of(each).name for each in contracts))
