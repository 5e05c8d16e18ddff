"""`exactly_once: true` of a subscription: refused where no transaction of a broker can hold what it promises (T23)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbridge.routing._topology import Kind

if TYPE_CHECKING:
    from busbridge.routing._config import KeyPath
    from busbridge.routing._problems import Problems
    from busbridge.routing._retry_plan import RetryPlan
    from busbridge.routing._topology import Destination


def check_exactly_once(
    path: KeyPath, destination: Destination, retry: RetryPlan, *, stored: bool, problems: Problems
) -> None:
    """Notes why the subscription at `path`, which asks for it, can't have it. `stored`: its service has a store."""
    key = (*path, "exactly_once")
    kind = ("destinations", destination.name, "kind")
    if destination.kind is not Kind.STREAM:
        problem = f"it is from stream to stream, and {destination.name} is a {destination.kind}"
        hint = f"leave it out: with services.{path[1]}.store the effects of a message happen once, wherever it is from"
        problems.add(key, problem, hint, because=kind)
    if stored:
        problem = "the service has a store, and no transaction holds both the store and the broker"
        hint = "leave it out: with a store the effects of a message happen once, what it publishes included"
        problems.add(key, problem, hint)
    elif retry.delayed:
        problem = "attempts that wait would hold up the transaction, and every message behind them"
        problems.add((*path, "retry"), problem, "leave the delays out, or `exactly_once`", because=key)
