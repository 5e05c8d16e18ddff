"""What is checked before anything connects: a service against its configuration, every fault at once."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from busbridge.contract import Registry, Writer, info_of
from busbridge.errors import ConfigurationError, ContractError, Fault, MissingExtra
from busbridge.routing import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from busbridge.contract import Contract
    from busbridge.routing import Config, Destination, SubscriptionPlan, TransportSettings
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.transport import Capabilities, Transport


def faults(service: Service[Any], config: Config, transports: Transports) -> list[Fault]:
    """Everything that would keep this service from working with this configuration; empty when it can open."""
    return [
        *_contract_faults(service),
        *_route_faults(service, config),
        *_subscription_faults(service, config),
        *transport_faults(config, transports, used_transports(service, config)),
    ]


def transport_faults(config: Config, transports: Transports, names: Iterable[str] | None = None) -> list[Fault]:
    """What is wrong with transports (default: all) and with what the configuration asks of them, without connecting."""
    return [
        fault
        for name in (config.transports if names is None else names)
        for fault in _transport_faults(config, transports, name)
    ]


def used_transports(service: Service[Any], config: Config) -> list[str]:
    """The transports that a service publishes or subscribes through, in the order of the configuration."""
    names = {each.transport for each in _destinations(service, config)}
    return [name for name in config.transports if name in names]


def _destinations(service: Service[Any], config: Config) -> Iterator[Destination]:
    for contract in service.publishes:
        route = config.routes.get(info_of(contract).name)
        if route:
            yield from (target.destination for target in route.targets)
    for plan in _plans(service, config):
        yield plan.destination


def _plans(service: Service[Any], config: Config) -> Iterable[SubscriptionPlan]:
    return [each for each in _declared(service, config).values() if each.name in service.subscriptions]


def _declared(service: Service[Any], config: Config) -> Mapping[str, SubscriptionPlan]:
    """What the configuration says of the service's subscriptions."""
    plan = config.services.get(service.name)
    return plan.subscriptions if plan else {}


def _contract_faults(service: Service[Any]) -> Iterator[Fault]:
    for contract in service.contracts:
        yield from _incompleteness(contract)
    try:
        registry = Registry(service.contracts)
    except ConfigurationError as error:
        yield from error.faults
        return
    for subscription in service.subscriptions.values():
        handled: dict[str, list[int]] = {}
        for info in map(info_of, subscription.contracts):
            handled.setdefault(info.name, []).append(info.version)
        yield from registry.gaps(handled)


def _incompleteness(contract: type[Contract]) -> Iterator[Fault]:
    """What only now can be known to be wrong with a contract: its fields may be of types that are defined after it."""
    try:
        Writer(contract)
    except ContractError as error:
        yield Fault(str(error))
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        yield Fault(f"{contract.__module__}.{contract.__qualname__} can't be completed: {error.message}")


def _route_faults(service: Service[Any], config: Config) -> Iterator[Fault]:
    for name in dict.fromkeys(info_of(contract).name for contract in service.publishes):
        if name not in config.routes:
            near = _near(name, config.routes)
            hint = near or f"add:  routes: {{{name}: {{to: DESTINATION}}}}"
            yield Fault(
                f"service {service.name!r} publishes {name!r}, which has no route", config.locate(("routes",)), hint
            )


def _subscription_faults(service: Service[Any], config: Config) -> Iterator[Fault]:
    path = ("services", service.name, "subscriptions")
    declared = _declared(service, config)
    for name, subscription in service.subscriptions.items():
        if name not in declared:
            unused = [each for each in declared if each not in service.subscriptions]
            hint = _near(name, unused) or f"add:  {name}: {{from: DESTINATION}}"
            problem = f"the code of service {service.name!r} has a subscription {name!r}, the configuration has not"
            yield Fault(problem, config.locate(path), hint)
        if not subscription.handlers:
            yield Fault(
                f"subscription {name!r} of service {service.name!r} has no handler", config.locate((*path, name))
            )
    for name in declared:
        if name not in service.subscriptions:
            hint = _near(name, service.subscriptions) or "its messages would pile up: remove it, or write its handler"
            problem = f"the configuration has a subscription {name!r}, the code of service {service.name!r} has not"
            yield Fault(problem, config.locate((*path, name)), hint)


def _transport_faults(config: Config, transports: Transports, name: str) -> Iterator[Fault]:
    settings = config.transports[name]
    try:
        transport = transports.find(settings)
    except MissingExtra as error:
        yield Fault(str(error), config.locate(("transports", name, "url")))
        return
    yield from _settings_faults(transport, settings, config)
    yield from _capability_faults(transport.capabilities, name, config)


def _settings_faults(transport: type[Transport], settings: TransportSettings, config: Config) -> Iterator[Fault]:
    for fault in transport.check(settings):
        path = ("transports", settings.name, *fault.location.path)
        yield Fault(fault.problem, config.locate(path), fault.hint)


def _capability_faults(capabilities: Capabilities, transport: str, config: Config) -> Iterator[Fault]:
    topology = config.topology(transport)
    for destination in topology.destinations:
        for key, problem in _beyond(destination, capabilities):
            yield Fault(f"transport {transport!r} {problem}", config.locate(("destinations", destination.name, key)))
    for plan in topology.subscriptions:
        path = ("services", plan.service, "subscriptions", plan.name)
        limit = capabilities.max_prefetch
        if any(binding.headers for binding in plan.bindings) and not capabilities.header_routing:
            yield Fault(f"transport {transport!r} can't route by headers", config.locate((*path, "headers")))
        if not plan.durable and not capabilities.ephemeral:
            yield Fault(f"transport {transport!r} has durable subscriptions only", config.locate((*path, "durable")))
        if plan.prefetch and limit and plan.prefetch > limit:
            problem = f"transport {transport!r} takes a prefetch of {limit} at most, not {plan.prefetch}"
            yield Fault(problem, config.locate((*path, "prefetch")))


_NEEDS: Final = (
    ("ttl", "ttl", "has no expiry"),
    ("max_length", "max_length", "can't bound a queue"),
    ("retention", "retention", "has no declared retention"),
    ("compaction", "compaction", "can't compact a stream"),
)


def _beyond(destination: Destination, capabilities: Capabilities) -> Iterator[tuple[str, str]]:
    """What a destination asks for and the transport has not: the key, and what to say."""
    if destination.kind not in capabilities.kinds:
        offered = ", ".join(sorted(capabilities.kinds))
        yield "kind", f"offers no {destination.kind} (it offers: {offered})"
        return
    if destination.ordered and destination.kind is Kind.QUEUE and not capabilities.ordered_queues:
        yield "ordered", "has no ordered queues"
    if not destination.durable and not capabilities.ephemeral:
        yield "durable", "has durable destinations only"
    for attribute, capability, problem in _NEEDS:
        if getattr(destination, attribute) and not getattr(capabilities, capability):
            yield attribute, problem


def _near(name: str, known: Iterable[str]) -> str | None:
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None
