"""Which destinations rows may leave for now: one flight each, and none while a destination is away."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, final

from busbridge.outbox._flight import Flight
from busbridge.outbox._passage import Passage

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
        self._passages: dict[str, Passage] = {}
        self._strangers: set[str] = set()

    def closed(self) -> set[str]:
        """Destinations that nothing may leave for now."""
        now = self._clock()
        shut = (name for name, passage in self._passages.items() if now < passage.opens)
        return {*self.flights, *shut, *self._strangers}

    def until_next(self, most: float) -> float:
        """Seconds until a destination opens by itself; at most `most`."""
        now = self._clock()
        return min([most, *(each.opens - now for each in self._passages.values() if each.opens > now)])

    def depart(self, leaving: Iterable[Leaving]) -> bool:
        """Sends off rows, in order, for destinations that are not `closed`. False: some must wait, to be read again."""
        of_destination: defaultdict[str, list[Leaving]] = defaultdict(list)
        for each in leaving:
            of_destination[each.row.destination].append(each)
        departed = [self._depart(name, found) for name, found in of_destination.items()]
        return all(departed)

    def _depart(self, name: str, found: list[Leaving]) -> bool:
        way = self._exits.get(name)
        if way is None:
            self._leave_to_others(name)
            return True
        passage = self._passages.get(name)
        if passage is None:
            passage = self._passages[name] = Passage(name, self._clock)
        flight = Flight(way, found[: passage.most], self._tenure, self._marks)
        self.flights[name] = asyncio.create_task(self._fly(name, flight, passage))
        return flight.count == len(found)

    async def cancel(self) -> None:
        """Ends all flights: what they have not confirmed stays in the outbox."""
        flights = list(self.flights.values())
        for each in flights:
            each.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(self, name: str, flight: Flight, passage: Passage) -> None:
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
        passage.landed(flight, failure)

    def _leave_to_others(self, name: str) -> None:
        self._strangers.add(name)
        _log.error("messages wait in the outbox for destination %r, which the configuration does not have", name)

    def __repr__(self) -> str:
        return f"<Departures, flights {len(self.flights)}, confirmed {self.confirmed}, parked {self.parked}>"
