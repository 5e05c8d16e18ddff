"""Which handlers no route of a configuration leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from busbridge.contract import info_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Config, RouteTarget, SubscriptionPlan
    from busbridge.runtime._service import Service
    from busbridge.runtime.handling._handler import Handler


class Unreached(NamedTuple):
    """A handler that no route brings messages of one of its contracts: only what other producers write gets there."""

    subscription: str
    contract: str
    handler: Handler
    plan: SubscriptionPlan | None
    """What the configuration says of the subscription; None: nothing."""
    key: str = ""
    """The routing key by which it is routed to the subscription's topic, where it does not match; else empty."""

    def words(self, service: str) -> str:
        """A line that says so."""
        where = f"{service}.{self.subscription}"
        if self.key and self.plan is not None:
            taken = ", ".join(str(each.pattern) for each in self.plan.bindings)
            return (
                f"{self.contract} is routed to {self.plan.destination.name} with the key {self.key}, past {where}, "
                f"which takes {taken}: add {self.key} to its `match`, unless only what others write is meant"
            )
        by_headers = self.plan is not None and any(binding.headers for binding in self.plan.bindings)
        or_so = ", or what is published with its headers" if by_headers else ""
        return f"no route brings {self.contract} to {where}: only what other producers write there{or_so}"


def unreached(service: Service[Any], config: Config) -> Iterator[Unreached]:
    """Every such handler of the service, for each of its contracts."""
    plans = _plans(service, config)
    for name, subscription in service.subscriptions.items():
        plan = plans.get(name)
        for handler in subscription.handlers:
            for contract in dict.fromkeys(info_of(each).name for each in handler.contracts):
                if plan is None:
                    yield Unreached(name, contract, handler, None)
                elif not _is_reached(contract, plan, config):
                    yield Unreached(name, contract, handler, plan, _missed(contract, plan, config))


def _missed(contract: str, plan: SubscriptionPlan, config: Config) -> str:
    """The key that the contract is routed with, past the subscription. Empty where its messages may come all the same.

    By their headers, which may be given with each message; or since the topic is said to hold them, whatever their key.
    """
    target = _target(contract, plan, config)
    if target is None or _is_assumed(contract, plan) or any(each.pattern is None for each in plan.bindings):
        return ""
    return target.routing_key


def _plans(service: Service[Any], config: Config) -> dict[str, SubscriptionPlan]:
    section = config.services.get(service.name)
    return dict(section.subscriptions) if section else {}


def _target(contract: str, plan: SubscriptionPlan, config: Config) -> RouteTarget | None:
    """Where the contract's route leads to the subscription's destination."""
    route = config.routes.get(contract)
    return next((each for each in route.targets if each.destination == plan.destination), None) if route else None


def _is_reached(contract: str, plan: SubscriptionPlan, config: Config) -> bool:
    target = _target(contract, plan, config)
    return target is not None and plan in config.receivers(target)


def _is_assumed(contract: str, plan: SubscriptionPlan) -> bool:
    return (plan.destination.assume or "").partition("@")[0] == contract
