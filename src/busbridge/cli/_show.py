"""Where each contract goes and who handles it, as rows and as a table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich import box
from rich.table import Table

from busbridge.contract import info_of
from busbridge.routing import tier_name
from busbridge.runtime import unreached

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from busbridge.routing import Config, RouteTarget, SubscriptionPlan
    from busbridge.runtime import Handler, Service, Unreached

_NOBODY = "-"
_NO_ROUTE = "(no route leads here)"


class Flow(NamedTuple):
    """One contract's way to one handler, as cells of a few lines; `-` where the way ends."""

    contract: str
    destination: str
    subscription: str = _NOBODY
    handler: str = _NOBODY


def flows(config: Config, services: Sequence[Service[Any]]) -> list[Flow]:
    """Every way through `config`; handlers are known of `services` only, and with them only their ways are listed.

    After them the handlers that no route leads to: what they get is written by producers that `config` doesn't know.
    """
    known = {service.name: service for service in services}
    ways = (
        flow
        for route in config.routes.values()
        for target in route.targets
        for flow in _ways(route.contract, target, config.receivers(target), known)
    )
    return [*ways, *(_wayless(service, each) for service in services for each in unreached(service, config))]


def warnings(config: Config, services: Iterable[Service[Any]]) -> list[str]:
    """A line for each contract that a service handles and no route brings to it: right, or forgotten."""
    found = (each.words(service.name) for service in services for each in unreached(service, config))
    return list(dict.fromkeys(found))


def flow_table(rows: Iterable[Flow]) -> Table:
    """The rows as a table; what repeats the row above is left blank."""
    table = Table("contract", "destination", "subscription", "handler", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    above = Flow("", "")
    for row in rows:
        same_contract = row.contract == above.contract
        same_destination = same_contract and row.destination == above.destination
        table.add_row("" if same_contract else row.contract, "" if same_destination else row.destination, *row[2:])
        above = row
    return table


def _ways(
    contract: str, target: RouteTarget, plans: Iterable[SubscriptionPlan], services: Mapping[str, Service[Any]]
) -> Iterator[Flow]:
    destination = f"{target.destination.name}\n{target.destination.kind} on {target.destination.transport}"
    listed = [plan for plan in plans if not services or plan.service in services]
    for plan in listed:
        for handler in _handlers(contract, plan, services):
            yield Flow(contract, destination, _described_plan(plan), handler)
    publishes = any(contract == info_of(each).name for service in services.values() for each in service.publishes)
    if not listed and (publishes or not services):
        yield Flow(contract, destination)


def _wayless(service: Service[Any], each: Unreached) -> Flow:
    if each.plan is None:
        return Flow(each.contract, _NO_ROUTE, f"{service.name}\n{each.subscription}", _described(each.handler))
    destination = f"{each.plan.destination.name}\n{_NO_ROUTE}"
    return Flow(each.contract, destination, _described_plan(each.plan), _described(each.handler))


def _described_plan(plan: SubscriptionPlan) -> str:
    tiers = ", ".join(tier_name(each) for each in plan.retry.tiers)
    return f"{plan.service}\n{plan.name}" + (f"\nagain after {tiers}" if tiers else "")


def _handlers(contract: str, plan: SubscriptionPlan, services: Mapping[str, Service[Any]]) -> list[str]:
    service = services.get(plan.service)
    subscription = service.subscriptions.get(plan.name) if service else None
    if subscription is None:
        return [_NOBODY]
    found = [each for each in subscription.handlers if any(info_of(one).name == contract for one in each.contracts)]
    return [_described(each) for each in found] or [f"none: {plan.others}"]


def _described(handler: Handler) -> str:
    file, _, line = handler.place.rpartition(":")
    path = Path(file)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return f"{handler.name}\n{path.relative_to(Path.cwd()) if inside else path}:{line}"
