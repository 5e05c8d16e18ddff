"""Which destinations rows may leave for now: one flight each, and none while a destination is away."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, final

from busbridge.outbox._flight import Flight
from busbridge.outbox._outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from busbridge.outbox._flight import Exit
    from busbridge.outbox._marks import Marks
    from busbridge.outbox._mirror import Leaving, Mirror
    from busbridge.outbox._tenure import Tenure

_log = logging.getLogger("busbridge.outbox")


@final
class Departures:
    """The flights of one relay. `wake` is set when one has landed."""

    def __init__(
        self,
        exits: Mapping[str, Exit],
        tenure: Tenure,
        marks: Marks,
        mirror: Mirror,
        wake: asyncio.Event,
        clock: Callable[[], float],
    ) -> None:
        self.confirmed = 0
        self.parked = 0
        self.flights: dict[str, asyncio.Task[None]] = {}
        self._exits = exits
        self._tenure = tenure
        self._marks = marks
        self._mirror = mirror
        self._wake = wake
        self._clock = clock
        self._outages: dict[str, Outage] = {}
        self._paused: dict[str, float] = {}
        self._strangers: set[str] = set()

    def closed(self) -> set[str]:
        """Destinations that nothing may leave for now."""
        now = self._clock()
        paused = (name for name, until in self._paused.items() if now < until)
        return {*self.flights, *paused, *self._strangers}

    def until_next(self, most: float) -> float:
        """Seconds until a destination opens by itself; at most `most`."""
        now = self._clock()
        return min([most, *(until - now for until in self._paused.values() if until > now)])

    def depart(self, leaving: Iterable[Leaving]) -> None:
        """Sends off rows, in order, for destinations that are not `closed`."""
        of_destination: defaultdict[str, list[Leaving]] = defaultdict(list)
        for each in leaving:
            of_destination[each.row.destination].append(each)
        for name, found in of_destination.items():
            if (way := self._exits.get(name)) is None:
                self._leave_to_others(name)
            else:
                flight = Flight(way, found, self._tenure, self._marks)
                self.flights[name] = asyncio.create_task(self._fly(name, flight))

    async def cancel(self) -> None:
        """Ends all flights: what they have not confirmed stays in the outbox."""
        flights = list(self.flights.values())
        for each in flights:
            each.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(self, name: str, flight: Flight) -> None:
        failure: Exception | None = None
        try:
            await flight.fly()
        except Exception as error:  # noqa: BLE001 - one destination's, and the others' rows must go on
            failure = error
        finally:
            if flight.confirmed < flight.count:  # what is left may hold others
                self._mirror.end()
            self.confirmed += flight.confirmed
            self.parked += flight.parked
            del self.flights[name]
            self._wake.set()
        if failure is not None or flight.in_vain:
            self._pause(name, failure or flight.missed[0][1].error)
        elif name in self._paused:
            del self._paused[name]
            self._outages[name].over()

    def _pause(self, name: str, error: BaseException | None) -> None:
        outage = self._outages.get(name)
        if outage is None:
            outage = self._outages[name] = Outage(_log, f"{name!r} confirms nothing of the outbox", self._clock)
        self._paused[name] = self._clock() + outage.failed(error)

    def _leave_to_others(self, name: str) -> None:
        self._strangers.add(name)
        _log.error("messages wait in the outbox for destination %r, which the configuration does not have", name)

    def __repr__(self) -> str:
        return f"<Departures, flights {len(self.flights)}, confirmed {self.confirmed}, parked {self.parked}>"
