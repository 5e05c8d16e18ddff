"""What is checked before anything connects: services joined with their configuration, every fault at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from busbridge.contract import Registry, Writer, info_of
from busbridge.errors import ConfigurationError, ContractError, Fault
from busbridge.routing import Config, in_order, read
from busbridge.runtime._names import misspelt, misspelt_faults, twice_given
from busbridge.runtime._transport_faults import transport_faults
from busbridge.runtime.exactly_once._faults import exactly_once_faults

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from busbridge.contract import Contract
    from busbridge.routing import Destination, Reading, Source, SubscriptionPlan
    from busbridge.runtime._service import Service, Subscription
    from busbridge.runtime._transports import Transports


def joined(services: Iterable[Service[Any]], sources: Source | Iterable[Source], transports: Transports) -> Config:
    """The configuration in one source, or in several as layers, once services fit it.

    Raises one ConfigurationError with every fault of the configuration and of the services joined with it, and
    TypeError for what is neither a source nor several.
    """
    reading = _read(sources)
    found = faults(services, reading, transports, alone=reading.config is sources)
    if found:
        raise ConfigurationError(found)
    return reading.config


def _read(sources: object) -> Reading:
    if isinstance(sources, str | PathLike | Mapping | Config):
        return read(cast("Source", sources))
    if not isinstance(sources, Iterable):
        what = "the path of a YAML file, a mapping, what load() returned, or several of them as layers"
        raise TypeError(f"a configuration is {what}; found one of type {type(sources).__name__}")
    return read(*cast("Iterable[Source]", sources))


def faults(
    services: Iterable[Service[Any]], reading: Reading, transports: Transports, *, alone: bool = False
) -> list[Fault]:
    """What is wrong with a configuration and would keep services from working with it; empty when they can open.

    In the order of the files, then what is wrong with the code alone. Nothing that only follows from another fault: of
    what could not be read it is not told that it is missing. `alone`: they may be some of those that are opened with
    this configuration, the others not given.
    """
    services = list(services)
    meant = misspelt(services, reading, alone=alone)
    used = dict.fromkeys(name for each in services for name in used_transports(each, reading.config))
    of_names = (*twice_given(services), *misspelt_faults(meant, reading))
    spare = _routes_of_nobody(services, reading.config)
    of_services = (
        fault for each in services for fault in _service_faults(each, reading, spare, named=each not in meant)
    )
    return in_order([*reading.faults, *of_names, *of_services, *transport_faults(reading, transports, used)])


def used_transports(service: Service[Any], config: Config) -> list[str]:
    """The transports that a service publishes or subscribes through, in the order of the configuration."""
    names = {each.transport for each in _destinations(service, config)}
    return [name for name in config.transports if name in names]


def missing_routes(service: Service[Any], reading: Reading) -> list[str]:
    """The names of contracts that the service publishes and the configuration has no route for."""
    published = dict.fromkeys(info_of(contract).name for contract in service.publishes)
    return [name for name in published if not _is_there(reading, reading.config.routes, ("routes",), name)]


def missing_subscriptions(service: Service[Any], reading: Reading) -> list[str]:
    """The names of subscriptions that the code has and the configuration has not."""
    declared = _declared(service, reading.config)
    return [name for name in service.subscriptions if not _is_there(reading, declared, _path(service), name)]


def _is_there(reading: Reading, known: Iterable[str], path: tuple[str, ...], name: str) -> bool:
    """Whether `name` stands at `path`, or may stand there where nothing could be read."""
    return name in known or reading.unread.hides((*path, name))


def _service_faults(service: Service[Any], reading: Reading, spare: Collection[str], *, named: bool) -> Iterator[Fault]:
    """`spare`: routes of no contract that is known. `named`: the configuration has no other name for the service."""
    yield from _contract_faults(service)
    yield from _route_faults(service, reading, spare)
    if named:
        yield from _subscription_faults(service, reading)
    yield from exactly_once_faults(service, reading)


def _destinations(service: Service[Any], config: Config) -> Iterator[Destination]:
    for contract in service.publishes:
        route = config.routes.get(info_of(contract).name)
        if route:
            yield from (target.destination for target in route.targets)
    yield from (each.destination for name, each in _declared(service, config).items() if name in service.subscriptions)


def _declared(service: Service[Any], config: Config) -> Mapping[str, SubscriptionPlan]:
    """What the configuration says of the service's subscriptions."""
    plan = config.services.get(service.name)
    return plan.subscriptions if plan else {}


def _path(service: Service[Any]) -> tuple[str, ...]:
    """Where the configuration has the service's subscriptions."""
    return ("services", service.name, "subscriptions")


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


def _routes_of_nobody(services: Iterable[Service[Any]], config: Config) -> list[str]:
    """What routes are there for contracts that the services do not know: names that may be misspelt."""
    known = {info_of(contract).name for service in services for contract in service.contracts}
    return [name for name in config.routes if name not in known]


def _route_faults(service: Service[Any], reading: Reading, spare: Collection[str]) -> Iterator[Fault]:
    for name in missing_routes(service, reading):
        problem = f"service {service.name!r} publishes {name!r}, which has no route"
        hint = _near(name, spare) or f"add:  routes: {{{name}: {{to: DESTINATION}}}}"
        yield Fault(problem, reading.config.locate(("routes",)), hint)


def _subscription_faults(service: Service[Any], reading: Reading) -> Iterator[Fault]:
    path, locate = _path(service), reading.config.locate
    declared = _declared(service, reading.config)
    written = dict.fromkeys([*declared, *reading.unread.names(path)])
    unused = [each for each in written if each not in service.subscriptions]
    for name in missing_subscriptions(service, reading):
        hint = _near(name, unused) or f"add:  {name}: {{from: DESTINATION}}"
        problem = f"the code of service {service.name!r} has a subscription {name!r}, the configuration has not"
        yield Fault(problem, locate(path), hint)
    for name, subscription in service.subscriptions.items():
        if not subscription.handlers:
            problem = f"subscription {name!r} of service {service.name!r} has no handler"
            yield Fault(problem, locate((*path, name)))
        yield from _limit_faults(subscription, declared, reading.config)
    for name in unused:
        hint = _near(name, service.subscriptions) or "its messages would pile up: remove it, or write its handler"
        problem = f"the configuration has a subscription {name!r}, the code of service {service.name!r} has not"
        yield Fault(problem, locate((*path, name)), hint)


def _limit_faults(
    subscription: Subscription[Any], declared: Mapping[str, SubscriptionPlan], config: Config
) -> Iterator[Fault]:
    """A thread can't be cancelled: its attempt would go on beside the next one."""
    plan = declared.get(subscription.name)
    if plan is None or plan.retry.limit is None:
        return
    where = config.locate(("services", plan.service, "subscriptions", plan.name, "retry", "limit"))
    for handler in subscription.handlers:
        if not handler.is_async:
            problem = f"handler {handler.name!r} ({handler.place}) is a plain function, which can't be cancelled"
            yield Fault(problem, where, "make it `async def`, or leave the limit out")


def _near(name: str, known: Iterable[str]) -> str | None:
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None
