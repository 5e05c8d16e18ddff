"""What a publish that did not reach every destination raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from busbridge.errors import BusbridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.contract import Contract
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.transport import Entry, Outcome, Status


class Undelivered(NamedTuple):
    """One message that one destination did not confirm."""

    message_id: str
    destination: str
    status: Status
    """REFUSED: definitely not there. UNKNOWN: perhaps."""
    error: BusbridgeError | None
    prepared: Prepared

    @property
    def message(self) -> Contract:
        """The message, read from what was sent: equal to the one that was published."""
        return self.prepared.message


_LISTED = 5


@final
class PublishError(BusbridgeError):
    """Some destinations did not confirm some messages; what is not listed here was confirmed.

    `outcomes` lists each (message, destination) that was refused or whose outcome is unknown. `Bus.resend(error)` sends
    exactly these again, with the same ids.
    """

    def __init__(self, outcomes: Sequence[Undelivered], prepared: Sequence[Prepared] = ()) -> None:
        self.outcomes = tuple(outcomes)
        self.prepared = tuple(prepared)
        lines = [f"  {each.message_id} to {each.destination}: {each.status}: {each.error}" for each in self.outcomes]
        more = len(lines) - _LISTED
        shown = [*lines[:_LISTED], f"  and {more} more"] if more > 0 else lines
        super().__init__("\n".join([f"not confirmed ({len(lines)}):", *shown]))


def undelivered(prepared: Prepared, entry: Entry, outcome: Outcome) -> Undelivered:
    """The report of one entry that was not confirmed."""
    return Undelivered(prepared.id, entry.destination.name, outcome.status, outcome.error, prepared)
