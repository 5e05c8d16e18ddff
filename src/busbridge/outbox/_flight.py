"""Rows of one destination on their way to their broker: of each key one at a time, so that none overtakes another."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from busbridge.errors import MessageRefused
from busbridge.outbox._rows import to_entry
from busbridge.outbox._seams import reached
from busbridge.routing import Kind
from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from busbridge.outbox._marks import Marks
    from busbridge.outbox._mirror import Leaving
    from busbridge.outbox._tenure import Tenure
    from busbridge.routing import Destination
    from busbridge.store import OutboxRow
    from busbridge.transport import Entry, Outcome

_log = logging.getLogger("busbridge.outbox")


class Sends(Protocol):
    """The way out through one transport."""

    def send(self, entries: Sequence[Entry]) -> Awaitable[Sequence[Outcome]]:
        """The outcomes of `entries`, in their order, when all are known."""
        ...


class Exit(NamedTuple):
    """Where rows that name a destination go."""

    sender: Sends
    destination: Destination


@final
class Flight:
    """`fly` once; the counts are of what has landed so far."""

    def __init__(self, way: Exit, leaving: Sequence[Leaving], tenure: Tenure, marks: Marks) -> None:
        self.count = len(leaving)
        self.confirmed = 0
        self.parked = 0
        self.missed: list[tuple[OutboxRow, Outcome]] = []
        self.full: MessageRefused | None = None
        """What the destination, a single queue, refused something for that it has no room for."""
        self._way = way
        self._is_one_queue = way.destination.kind is Kind.QUEUE and not way.destination.ordered
        """Full for one message is full for all then; of a topic, or of shards, another part may have room."""
        self._tenure = tenure
        self._marks = marks
        self._lines = _lines(leaving)

    async def fly(self) -> None:
        """Publishes the first row of each key, then the next of those that were confirmed, and so on.

        Ends early where the lease has ended, which is looked at before anything is published. Raises ClosedError.
        """
        while lines := [line for line in self._lines if line and self._tenure.holds(line[0].row.slot)]:
            readable = [(line, entry) for line in lines if (entry := self._entry(line[0])) is not None]
            reached("relay_before_publish")
            outcomes = await self._way.sender.send([entry for _, entry in readable])
            reached("relay_after_publish")
            landed = zip(readable, outcomes, strict=True)
            self._lines = [line for (line, _), outcome in landed if self._landed(line, outcome)]
        self._write_off()

    def _entry(self, leaving: Leaving) -> Entry | None:
        """What the row publishes. None, and parked, where it can't be read: it must not keep others from going out."""
        row, entry = leaving
        if entry is not None:
            return entry
        try:
            return to_entry(row, self._way.destination)
        except (ValueError, LookupError, TypeError) as error:
            self._park(row, error)
            return None

    def _landed(self, line: deque[Leaving], outcome: Outcome) -> bool:
        """Whether the rest of the line may follow."""
        row = line.popleft().row
        if outcome.status is Status.CONFIRMED:
            self.confirmed += 1
            self._marks.sent(row)
            return True
        overflow = _overflow(outcome)
        if overflow is not None and self._is_one_queue:
            self.full = overflow
        elif outcome.status is Status.REFUSED and overflow is None:
            self._park(row, outcome.error)
        else:
            self.missed.append((row, outcome))
        return False

    def _park(self, row: OutboxRow, error: BaseException | None) -> None:
        self.parked += 1
        self._marks.refused(row, error)
        _log.error(
            "message %s to %r is parked in the outbox, until `busbridge store parked` releases or discards it: %s",
            row.message_id,
            row.destination,
            error,
        )

    def _write_off(self) -> None:
        """What was missed is tried again later. Where nothing got through, no row is to blame: none is held back."""
        if not self.in_vain:
            for row, outcome in self.missed:
                self._marks.failed(row, outcome.error)

    @property
    def in_vain(self) -> bool:
        """Whether it published something, and nothing got through: the destination is away."""
        return bool(self.missed) and not self.confirmed


def _lines(leaving: Iterable[Leaving]) -> list[deque[Leaving]]:
    """The rows of each key, in order; a row without a key is alone."""
    lines: list[deque[Leaving]] = []
    of_key: dict[str, deque[Leaving]] = {}
    for each in leaving:
        key = each.row.key
        if key is None:
            lines.append(deque((each,)))
        elif (line := of_key.get(key)) is not None:
            line.append(each)
        else:
            line = of_key[key] = deque((each,))
            lines.append(line)
    return lines


def _overflow(outcome: Outcome) -> MessageRefused | None:
    """The refusal of a message that there is no room for at present; None: it is none."""
    error = outcome.error
    return error if isinstance(error, MessageRefused) and error.passes else None
