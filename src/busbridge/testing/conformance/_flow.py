"""A service at work over the rig's transport: what the rows about handling drive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, final

from busbridge.contract import Contract
from busbridge.routing import load
from busbridge.runtime import Bus, Context, Service
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import RowFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from busbridge.routing import SubscriptionPlan, TransportSettings
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._rig import Rig
    from busbridge.transport import Transport

    Handle: TypeAlias = "Callable[[Told, int], Awaitable[None]]"

_READER = "reader"
KEYS: Final = 16
"""How many keys the messages have, which take turns."""


class Told(Contract, name="conformance.told", version=1, key="key"):
    """What the rows about handling publish."""

    id: str
    key: str


class Call(NamedTuple):
    """One call of the handler."""

    id: str
    attempt: int
    done: bool
    """False: it began; True: it returned."""


@final
class RigTransports:
    """Has a bus use the clients that the rig makes."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def find(self, settings: TransportSettings) -> type[Transport]:  # noqa: ARG002 - there is one
        """The rig's transport."""
        return self._rig.transport

    def make(self, settings: TransportSettings) -> Transport:  # noqa: ARG002 - the rig knows how to reach its broker
        """A new client of the rig's broker."""
        return self._rig.make(self._rig.settings())


@final
class Flow:
    """One destination, one subscription with one handler; `bus()` is a replica of its service."""

    def __init__(
        self, bench: Bench, handle: Handle, *, grace: str = "20s", retry: Mapping[str, Any] | None = None
    ) -> None:
        self.calls: list[Call] = []
        self._bench = bench
        self._handle = handle
        self._name = bench.rig.unique("service")
        self._config = load(self._document(grace, dict(retry or {"attempts": 3})))
        bench.made(self._config.topology(bench.rig.name))
        self._changed = asyncio.Event()
        self._count = 0

    def _document(self, grace: str, retry: dict[str, Any]) -> dict[str, Any]:
        rig, place = self._bench.rig, self._bench.place
        destination: dict[str, Any] = {"kind": place.kind.value, "transport": rig.name, "name": rig.unique("told")}
        if place.ordered:
            destination["partitions"] = 4
        if place is Place.ORDERED_QUEUE:
            destination["ordered"] = True
        subscription = {"from": "told", "concurrency": 8, "others": "dead_letter", "retry": retry}
        return {
            "transports": {rig.name: {"url": rig.settings().url}},
            "destinations": {"told": destination},
            "routes": {"conformance.told": {"to": "told"}},
            "services": {self._name: {"subscriptions": {_READER: subscription}}},
            "stop": {"grace": grace},
        }

    @property
    def plan(self) -> SubscriptionPlan:
        """The subscription's."""
        return self._config.services[self._name].subscriptions[_READER]

    def bus(self, *, consume: bool = True) -> Bus[None]:
        """A replica, to be entered."""
        service = Service(self._name, publishes=[Told])
        service.subscription(_READER).handles(Told)(self._called)
        return Bus(service, self._config, consume=consume, transports=RigTransports(self._bench.rig))

    async def _called(self, message: Told, context: Context[None]) -> None:
        self._note(Call(message.id, context.delivery.attempt, done=False))
        await self._handle(message, context.delivery.attempt)
        self._note(Call(message.id, context.delivery.attempt, done=True))

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        self._changed.set()

    def messages(self, count: int) -> list[Told]:
        """New messages; keys take turns."""
        self._count += count
        return [Told(id=f"t{each}", key=f"k{each % KEYS}") for each in range(self._count - count, self._count)]

    def attempts(self, *, done: bool) -> dict[str, list[int]]:
        """By message, the attempts that were begun, or those that returned."""
        found: dict[str, list[int]] = {}
        for call in self.calls:
            if call.done is done:
                found.setdefault(call.id, []).append(call.attempt)
        return found

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits until `holds()`; raises RowFailed naming `what` does not come."""
        seconds = self._bench.rig.patience
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise RowFailed(f"{what} did not come in {seconds:g} s") from None
