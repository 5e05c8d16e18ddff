"""What happened, in order: the publishes with their outcomes, the deliveries with their settlements."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, final

from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busbridge.transport import Delivery, Outcome, Position, Session, Settlement


class What(StrEnum):
    """The kinds of event."""

    ATTEMPTED = "attempted"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    SETTLED = "settled"
    STALE = "stale"
    """Settling was refused, since the session was gone."""
    RELEASED = "released"


class Event(NamedTuple):
    """One thing that happened to one message, at `at` seconds on the monotonic clock."""

    at: float
    what: What
    id: str
    key: str | None = None
    member: str = ""
    attempt: int = 0
    position: Position | None = None
    session: Session | None = None
    settlement: Settlement | None = None


@final
class Ledger:
    """Append-only. Counts as it goes, so that waiting on it costs nothing per event."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.confirmed: set[str] = set()
        self.missing: set[str] = set()
        """Confirmed, and delivered to nobody so far."""
        self.seen: set[str] = set()
        self.marks: set[str] = set()
        """Messages of the kit's own that have arrived: all that was published before them has, too."""
        self.open = 0
        """Deliveries neither settled nor released."""
        self.most_open = 0
        self._changed = asyncio.Event()

    def attempted(self, ids: Iterable[str], key: str | None = None) -> None:
        """Publishing begins; recorded before the transport is asked."""
        for each in ids:
            self._add(Event(time.monotonic(), What.ATTEMPTED, each, key))

    def ended(self, message_id: str, key: str | None, outcome: Outcome) -> None:
        """Publishing ended with an outcome."""
        what = {Status.CONFIRMED: What.CONFIRMED, Status.REFUSED: What.REFUSED, Status.UNKNOWN: What.UNKNOWN}
        if outcome.status is Status.CONFIRMED:
            self.confirmed.add(message_id)
            if message_id not in self.seen:
                self.missing.add(message_id)
        self._add(Event(time.monotonic(), what[outcome.status], message_id, key, position=outcome.position))

    def delivered(self, message_id: str, key: str | None, member: str, delivery: Delivery) -> None:
        """A member was handed a delivery."""
        self.seen.add(message_id)
        self.missing.discard(message_id)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._add(_of(What.DELIVERED, message_id, key, member, delivery))

    def mark(self, message_id: str) -> None:
        """A message that only marks how far reading has come was delivered."""
        self.marks.add(message_id)
        self._changed.set()

    def touch(self) -> None:
        """Something else changed that a wait may be about."""
        self._changed.set()

    def closed(self, what: What, message_id: str, member: str, delivery: Delivery) -> None:
        """A delivery was settled or released, or its settlement was refused as stale."""
        self.open -= 1
        self._add(_of(what, message_id, None, member, delivery))

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Waits until `holds()` is true, asking after each change; False if `seconds` ran out."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return holds()
        return True

    def of(self, *what: What, member: str | None = None) -> list[Event]:
        """The events of some kinds, in order; of one member if it is named."""
        return [each for each in self.events if each.what in what and member in (None, each.member)]

    def lines(self) -> Sequence[str]:
        """The events as text, one a line, to be kept with a failure."""
        begin = self.events[0].at if self.events else 0.0
        return [_line(each, begin) for each in self.events]


def _line(event: Event, begin: float) -> str:
    key, member, attempt = event.key or "-", event.member or "-", event.attempt or ""
    return f"{event.at - begin:9.4f} {event.what:9} {event.id} {key} {member} {attempt}"


def _of(what: What, message_id: str, key: str | None, member: str, delivery: Delivery) -> Event:
    return Event(
        time.monotonic(),
        what,
        message_id,
        key,
        member,
        delivery.attempt,
        delivery.position,
        delivery.session,
        delivery.settlement,
    )
