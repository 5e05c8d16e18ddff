"""What a bus opens on its way: transports, the ways out through them, the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from busbridge.runtime._reach import unreached
from busbridge.runtime._startup import used_transports
from busbridge.runtime.publishing._publishing import Publishing
from busbridge.runtime.publishing._sender import Sender

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from busbridge.routing import Config
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.effects._storing import Storing
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Transport

_log = logging.getLogger("busbridge.bus")


async def opened_store(stack: AsyncExitStack, service: str, config: Config) -> Storing | None:
    """The store of a service, if it has one. Raises StoreOutdated, StoreUnavailable, MissingExtra."""
    plan = config.services[service].store if service in config.services else None
    if plan is None:
        return None
    from busbridge.runtime.effects._storing import Storing  # noqa: PLC0415 - without a store nothing of SQL is imported

    return await Storing.opened(stack, service, plan)


def tell_without_store(service: str) -> None:
    """Says what is not promised where handlers work without a store."""
    _log.info(
        "%s has no store: its handlers must expect a message twice, and what they publish is not atomic with "
        "what they write (services.%s.store changes that)",
        service,
        service,
    )


def tell_unreached(service: Service[Any], config: Config) -> None:
    """Warns of what is routed past the handlers that are there for it: nothing fails where it never comes."""
    for line in dict.fromkeys(each.words(service.name) for each in unreached(service, config) if each.key):
        _log.warning("%s", line)


async def connected(
    stack: AsyncExitStack, service: Service[Any], config: Config, transports: Transports
) -> dict[str, Transport]:
    """The transports that a service uses, open and provisioned. Raises what these raise."""
    found: dict[str, Transport] = {}
    for name in used_transports(service, config):
        transport = transports.make(config.transports[name])
        stack.push_async_callback(transport.close)
        await transport.open()
        await transport.provision(config.topology(name))
        found[name] = transport
    return found


def senders_through(stack: AsyncExitStack, config: Config, transports: Mapping[str, Transport]) -> dict[str, Sender]:
    """The way out through each transport."""
    senders: dict[str, Sender] = {}
    for name, transport in transports.items():
        senders[name] = Sender(transport, config.publish_timeout)
        stack.push_async_callback(senders[name].close)
    return senders


def publishing_through(
    service: Service[Any],
    config: Config,
    transports: Mapping[str, Transport],
    senders: Mapping[str, Sender],
    tracing: Tracing | None,
    observer: Observer | None,
) -> Publishing:
    """What encodes and sends what a service publishes."""
    prefixes = {name: transport.header_prefix for name, transport in transports.items()}
    return Publishing(service.name, service.publishes, config, senders, prefixes, tracing, observer)
