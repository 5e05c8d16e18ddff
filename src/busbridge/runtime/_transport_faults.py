"""What is wrong with transports, and with what the configuration asks of them, found without connecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busbridge.errors import Fault, MissingExtra
from busbridge.routing import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from busbridge.routing import Config, Destination, Reading, TransportSettings
    from busbridge.runtime._transports import Transports
    from busbridge.transport import Capabilities, Transport

_RESTS_ON: Final[Mapping[object, tuple[str, ...]]] = {"mechanism": ("user", "tls"), "tls": ("tls",)}
"""Which other keys of a transport a key is checked with: where those could not be read, it can't be judged."""


def transport_faults(reading: Reading, transports: Transports, names: Iterable[str] | None = None) -> list[Fault]:
    """The faults of the transports named (default: all whose URL could be read), and of what is asked of them."""
    return [
        fault
        for name in (reading.config.transports if names is None else names)
        for fault in _transport_faults(reading, transports, name)
    ]


def _transport_faults(reading: Reading, transports: Transports, name: str) -> Iterator[Fault]:
    config = reading.config
    settings = config.transports[name]
    try:
        transport = transports.find(settings)
    except MissingExtra as error:
        yield Fault(str(error), config.locate(("transports", name, "url")))
        return
    yield from _settings_faults(transport, settings, reading)
    yield from _capability_faults(transport.capabilities, name, config)


def _settings_faults(transport: type[Transport], settings: TransportSettings, reading: Reading) -> Iterator[Fault]:
    above = ("transports", settings.name)
    for fault in transport.check(settings):
        path = fault.location.path
        if not any(reading.unread.within((*above, key)) for key in _RESTS_ON.get(path[0] if path else None, ())):
            yield Fault(fault.problem, reading.config.locate((*above, *path)), fault.hint)


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
        if plan.retry.tiers and not capabilities.delays:
            problem = f"transport {transport!r} can't let attempts wait"
            hint = f"add services.{plan.service}.store, or leave the delays out"
            yield Fault(problem, config.locate((*path, "retry")), hint)
        if plan.exactly_once and not capabilities.transactions:
            problem = f"transport {transport!r} has no transactions"
            yield Fault(problem, config.locate((*path, "exactly_once")), f"add services.{plan.service}.store instead")
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
