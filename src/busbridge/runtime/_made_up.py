"""A configuration for services that have none yet: everything over one topic, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.contract import info_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.runtime._service import Service, Subscription

_TOPIC = "messages"


def made_up(services: Iterable[Service[Any]]) -> dict[str, object]:
    """The configuration, as a mapping that `load` takes and that reads well as YAML.

    Every contract of the services goes to one topic; every subscription takes from it what it has handlers for.
    """
    services = list(services)
    names = dict.fromkeys(info_of(contract).name for service in services for contract in service.contracts)
    return {
        "transports": {"memory": {"url": "memory://"}},
        "destinations": {_TOPIC: {"kind": "topic", "transport": "memory", "unrouted": "ignore"}},
        "routes": {name: {"to": _TOPIC} for name in names},
        "services": {service.name: {"subscriptions": _subscriptions(service)} for service in services},
    }


def _subscriptions(service: Service[Any]) -> dict[str, object]:
    return {name: {"from": _TOPIC, "match": _match(each)} for name, each in service.subscriptions.items()}


def _match(subscription: Subscription[Any]) -> list[str]:
    return list(dict.fromkeys(info_of(contract).name for contract in subscription.contracts))
