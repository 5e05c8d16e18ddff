"""A service's dead letters without the service: nothing is provisioned, no resources are made, nothing is handled."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast, final

from busbridge.runtime.dead_letters._action import Book
from busbridge.runtime.dead_letters._dead_letters import DeadLetters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from busbridge.routing import Config
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.effects._storing import Storing
    from busbridge.store import Store
    from busbridge.transport import Redrivable, Transport


@asynccontextmanager
async def dead_letters_of(service: str, config: Config, transports: Transports) -> AsyncGenerator[DeadLetters]:
    """The dead letters of a service, by its name, while its replicas run or none does.

    Connects to a broker when it is first needed (Unavailable once its `patience` ran out, AccessRefused), and to the
    store when the first action begins (StoreUnavailable, StoreOutdated).
    """
    plan = config.services.get(service)
    async with AsyncExitStack() as stack:
        opened = _Opened(stack, service, config, transports)
        yield DeadLetters(service, plan, opened.transport, Book(service, opened.store))


def dead_letters_through(
    service: str, config: Config, transports: Mapping[str, Transport], storing: Storing | None
) -> DeadLetters:
    """The dead letters of a service that is open."""

    async def transport(name: str) -> Redrivable:
        return cast("Redrivable", transports[name])

    async def store() -> Store | None:
        return None if storing is None else storing.store

    return DeadLetters(service, config.services.get(service), transport, Book(service, store))


@final
class _Opened:
    """What was needed so far; put away with the stack."""

    def __init__(self, stack: AsyncExitStack, service: str, config: Config, transports: Transports) -> None:
        self._stack = stack
        self._service = service
        self._config = config
        self._transports = transports
        self._open: dict[str, Redrivable] = {}
        self._store: Store | None = None

    async def transport(self, name: str) -> Redrivable:
        """The transport of a name, open."""
        if name not in self._open:
            transport = self._transports.make(self._config.transports[name])
            self._stack.push_async_callback(transport.close)
            await transport.open()
            self._open[name] = cast("Redrivable", transport)
        return self._open[name]

    async def store(self) -> Store | None:
        """The service's store, open; None where it has none."""
        plan = self._config.services[self._service].store if self._service in self._config.services else None
        if plan is not None and self._store is None:
            from busbridge.store import Store  # noqa: PLC0415 - without a store nothing of SQL is imported

            store = Store(plan.url.get_secret_value(), self._service)
            self._stack.push_async_callback(store.close)
            await store.open(upgrade=False)
            self._store = store
        return self._store
