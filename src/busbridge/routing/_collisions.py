"""Names on a broker that would meet: two destinations, or a destination and what a subscription is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.routing._topology import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing._config import Config, KeyPath
    from busbridge.routing._problems import Problems
    from busbridge.routing._unread import Unread


def refuse_collisions(config: Config, problems: Problems) -> None:
    """Notes every name that two things of one transport would share: one would eat the messages of the other."""
    owners: dict[tuple[str, str, str], KeyPath] = {}
    told: set[KeyPath] = set()
    for (transport, space, name), path in _names(config, problems.unread):
        owner = owners.setdefault((transport, space, name), path)
        if owner != path and path not in told:
            told.add(path)
            problems.add(path, f"the {space} {name!r} on {transport} already belongs to {'.'.join(map(str, owner))}")


def _names(config: Config, unread: Unread) -> Iterator[tuple[tuple[str, str, str], KeyPath]]:
    for each in config.destinations.values():
        if ("destinations", each.name, "name") not in unread:
            yield (each.transport, each.kind.value, each.physical), ("destinations", each.name)
    for plan in config.subscriptions():
        transport, kind = plan.destination.transport, plan.destination.kind
        path = ("services", plan.service, "subscriptions", plan.name)
        yield (transport, "queue" if kind is Kind.TOPIC else "group", plan.group), path
        for name in (plan.dead_letters, *plan.waiting):
            yield (transport, "stream" if kind is Kind.STREAM else "queue", name), path
