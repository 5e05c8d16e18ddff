"""Whole flows in a test: services joined with a configuration, in memory or on the real brokers."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, final

from busbridge.contract import Contract, info_of
from busbridge.envelope import new_id
from busbridge.errors import BusbridgeError
from busbridge.routing import namespaced
from busbridge.runtime import Bus, InstalledTransports, MemoryTransports, Service, joined, made_up, remove
from busbridge.runtime._bus import advance, relayed
from busbridge.testing._ledger import Dead, Ledger, Parked
from busbridge.testing._own_stores import with_own_stores

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from busbridge.routing import Config, Source, TransportSettings
    from busbridge.runtime import Prepared, Transports
    from busbridge.testing._ledger import Expected
    from busbridge.transport import Transport

    C = TypeVar("C", bound=Contract)

__all__ = ["Dead", "Harness", "NotSettled", "Parked", "harness"]

REAL_BROKERS = "BUSBRIDGE_HARNESS_BROKERS"
"""Environment variable: set, harnesses use the brokers of their configuration. The pytest option sets it."""

PUBLISHER = "harness"
"""The service that a test publishes as."""


@final
class NotSettled(BusbridgeError):
    """A flow did not come to its end in time. `outstanding` lists what nobody has handled."""

    def __init__(self, seconds: float, outstanding: Sequence[Expected]) -> None:
        self.outstanding = tuple(outstanding)
        listed = "\n".join(f"  {each.message_id} at {each.place}" for each in self.outstanding[:10])
        super().__init__(f"not settled within {seconds:g} s; still to be handled ({len(self.outstanding)}):\n{listed}")


@asynccontextmanager
async def harness(
    *services: Service[Any],
    config: Source | Iterable[Source] | None = None,
    raise_failures: bool = True,
    real_brokers: bool | None = None,
) -> AsyncGenerator[Harness]:
    """Services, open for a test: in memory, or on the real brokers.

        async with harness(inventory, config="busbridge.yaml") as bus:
            await bus.publish(OrderCreated(order_id="1"))
            await bus.settled()

    In memory, whatever the configuration's transports are; without a `config` one is made up. A service that declares a
    store has one in a file of this harness's own, whatever its URL is. With `real_brokers`
    (default: the pytest option `--busbridge-real-brokers`) on the brokers of the configuration, under physical names of
    this harness's own, and with its stores; all that has these names is removed when it is left, whatever happened.
    Entering raises as
    `Bus` does, but one ConfigurationError for all services. Leaving raises again what made a handler give up, unless
    `settled` did or `raise_failures` is False.
    """
    real = bool(os.environ.get(REAL_BROKERS)) if real_brokers is None else real_brokers
    on_brokers = real and config is not None
    transports: Transports = InstalledTransports() if on_brokers else MemoryTransports()
    loaded = joined(services, made_up(services) if config is None else config, transports)
    published: list[Contract] = []
    async with AsyncExitStack() as stack:
        if on_brokers:
            loaded, transports = _for_a_while(stack, loaded, transports)
        else:
            loaded = with_own_stores(stack, loaded)
        plans = [each for each in loaded.subscriptions() if each.service in {service.name for service in services}]
        ledger = Ledger(plans)
        watch = _Watch(ledger, published)
        buses = [
            await stack.enter_async_context(Bus(each, loaded, transports=transports, observer=watch))
            for each in services
        ]
        outside = Service(PUBLISHER, publishes=_routed(services, loaded))
        bus = await stack.enter_async_context(Bus(outside, loaded, transports=transports, observer=ledger))
        running = Harness(bus, buses, ledger, published, raise_failures=raise_failures)
        yield running
        running.raise_failures()


@final
class Harness:
    """Open services, seen from outside."""

    def __init__(
        self,
        bus: Bus[None],
        buses: Sequence[Bus[Any]],
        ledger: Ledger,
        published: list[Contract],
        *,
        raise_failures: bool,
    ) -> None:
        self._bus = bus
        self._buses = {each.service.name: each for each in buses}
        self._ledger = ledger
        self._published = published
        self._raising = raise_failures
        self._raised = 0

    async def publish(
        self, message: Contract, *, message_id: str | None = None, headers: Mapping[str, str] | None = None
    ) -> str:
        """Publishes from outside, as another service would; returns the id. As `Bus.publish`."""
        return await self._bus.publish(message, message_id=message_id, headers=headers)

    async def publish_many(self, messages: Iterable[Contract]) -> list[str]:
        """Publishes from outside; returns the ids. As `Bus.publish_many`."""
        return await self._bus.publish_many(messages)

    async def redeliver(self, message_id: str) -> None:
        """Publishes the same message with the same id once more, as a broker or a producer does after a fault.

        Raises KeyError for an id that was not published here.
        """
        again = self._ledger.sent(message_id)
        self._ledger.publishing([again])
        await asyncio.gather(*(sender.send([entry]) for sender, entry in again.entries))

    async def settled(self, seconds: float = 10.0) -> None:
        """Waits until everything published has been handled, and everything that was published on the way.

        Waits on causality, not on time: returns as soon as nothing is outstanding. Messages that are scheduled for
        later are not waited for: see `advance`. Raises NotSettled where something still is after `seconds` (0: does not
        wait); what stopped a subscription; and, unless told not to, what made a handler give up, or what a message that
        is parked in an outbox was refused for: the error itself, or an ExceptionGroup of several.
        """
        serving = [asyncio.ensure_future(each.serve()) for each in self._buses.values()]
        waiting = asyncio.ensure_future(self._nothing_outstanding())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            if self._ledger.outstanding:
                raise NotSettled(seconds, self._ledger.outstanding) from None
        finally:
            for each in (waiting, *serving):
                each.cancel()
            results = await asyncio.gather(waiting, *serving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.raise_failures()

    async def advance(self, seconds: float) -> None:
        """Has all that waits in the services' stores come `seconds` sooner: scheduled messages, attempts that wait.

        What is due then is under way when this returns, and `settled` waits for it; it waits for no message that is
        scheduled for later. No clock is changed: what is put off afterwards waits as long as it says.
        """
        for each in self._buses.values():
            await advance(each, seconds)

    async def _nothing_outstanding(self) -> None:
        await self._all_handled()
        await asyncio.gather(*(relayed(each) for each in self._buses.values()))
        await self._all_handled()

    async def _all_handled(self) -> None:
        while self._ledger.outstanding:
            self._ledger.changed.clear()
            await self._ledger.changed.wait()

    def published(self, contract: type[C]) -> list[C]:
        """What the services published of one contract, in order; not what the test did."""
        return [each for each in self._published if type(each) is contract]

    @property
    def dead(self) -> list[Dead]:
        """What became a dead letter, in order."""
        return list(self._ledger.dead)

    @property
    def parked(self) -> list[Parked]:
        """What a destination refused for good, in order: it stays in its outbox, as do the later ones of its key."""
        return list(self._ledger.stuck)

    def bus(self, service: str) -> Bus[Any]:
        """The bus of one of the services, for its counts and its resources. KeyError for a name that none has."""
        if service not in self._buses:
            raise KeyError(f"no service here is named {service!r}; there are: {', '.join(self._buses) or 'none'}")
        return self._buses[service]

    def raise_failures(self) -> None:
        """Raises what made handlers give up, or messages stay in an outbox, since this was last called."""
        errors = self._ledger.failures[self._raised :]
        self._raised = len(self._ledger.failures)
        if not errors or not self._raising:
            return
        if len(errors) == 1:
            raise errors[0]
        raise BaseExceptionGroup("messages became dead letters, or were refused", errors)

    def __repr__(self) -> str:
        outstanding, dead = len(self._ledger.outstanding), len(self._ledger.dead)
        return f"<Harness of {', '.join(self._buses)}, outstanding {outstanding}, dead {dead}>"


@final
class _Watch:
    """The observer of the services under test: the ledger, and what they published."""

    def __init__(self, ledger: Ledger, published: list[Contract]) -> None:
        self._published = published
        self.undelivered = ledger.undelivered
        self.parked = ledger.parked
        self.ended = ledger.ended
        self._publishing = ledger.publishing

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        self._published.extend(each.message for each in prepared)
        self._publishing(prepared)


@final
class _Made:
    """Transports, and the names of those that were made."""

    def __init__(self, inner: Transports) -> None:
        self.names: dict[str, None] = {}
        self.find = inner.find
        self._make = inner.make

    def make(self, settings: TransportSettings) -> Transport:
        self.names[settings.name] = None
        return self._make(settings)


def _for_a_while(stack: AsyncExitStack, config: Config, transports: Transports) -> tuple[Config, Transports]:
    """The configuration under names of its own, and its transports; what they provision goes when `stack` is left."""
    own = namespaced(config, f"test-{new_id()[-12:]}.")
    made = _Made(transports)
    stack.push_async_callback(remove, own, made, made.names)
    return own, made


def _routed(services: Iterable[Service[Any]], config: Config) -> list[type[Contract]]:
    known = dict.fromkeys(contract for service in services for contract in service.contracts)
    return [contract for contract in known if info_of(contract).name in config.routes]
