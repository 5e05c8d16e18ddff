"""Transports that break their promises, each in one way, as a broker or an adapter with a fault would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbridge.memory import MemoryTransport
from busbridge.runtime import MemoryTransports
from busbridge.transport import CONFIRMED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.routing import TransportSettings
    from busbridge.transport import Entry, Outcome, Transport

    Sabotage = Callable[[list[Entry]], list[Entry]]
    """What is really published of a batch that goes to one destination."""


def lose_one(entries: list[Entry]) -> list[Entry]:
    return entries[1:]


def double_one(entries: list[Entry]) -> list[Entry]:
    return [entries[0], *entries]


def turn_around(entries: list[Entry]) -> list[Entry]:
    return entries[::-1]


class SabotagedTransports:
    """In memory; the first batch that goes to `destination` meets `sabotage`, and is confirmed all the same."""

    def __init__(self, destination: str, sabotage: Sabotage) -> None:
        self._honest = MemoryTransports()
        self._destination = destination
        self._sabotage: Sabotage | None = sabotage

    def find(self, settings: TransportSettings) -> type[Transport]:
        return self._honest.find(settings)

    def make(self, settings: TransportSettings) -> Any:
        return _Saboteur(self._honest.make(settings), self)

    def meddle(self, entries: Sequence[Entry]) -> list[Entry]:
        chosen = [each for each in entries if each.destination.name == self._destination]
        others = [each for each in entries if each.destination.name != self._destination]
        if not chosen or self._sabotage is None:
            return list(entries)
        sabotage, self._sabotage = self._sabotage, None
        return others + sabotage(chosen)


class _Saboteur:
    capabilities = MemoryTransport.capabilities
    system = MemoryTransport.system
    header_prefix = MemoryTransport.header_prefix

    def __init__(self, honest: Transport, owner: SabotagedTransports) -> None:
        self._honest = honest
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def publish(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:
        await self._honest.publish(self._owner.meddle(entries), seconds)
        return [CONFIRMED] * len(entries)
