"""The entries of one publish on their way: an outcome for each, at its index."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, final

from busbridge.transport import Outcome, Position, Status
from busbridge_kafka import _errors as errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaError, Message

    from busbridge.routing import Destination
    from busbridge.transport import Headers


class Sendable(Protocol):
    """What an entry and a dead letter have in common: bytes and the Kafka topic they go to."""

    @property
    def destination(self) -> Destination: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def key(self) -> str | bytes | None: ...


@final
class Batch:
    """What one call publishes. Each outcome is written once; `done` is set when none is missing."""

    __slots__ = ("_abandoned", "_missing", "_outcomes", "done", "entries")

    def __init__(self, entries: Sequence[Sendable], abandoned: Callable[[], None]) -> None:
        self.entries: Final = entries
        self.done: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        self._outcomes: Final[list[Outcome | None]] = [None] * len(entries)
        self._missing = len(entries)
        self._abandoned = abandoned
        if not entries:
            self.done.set_result(None)

    def report(self, index: int, error: KafkaError | None, message: Message[bytes, bytes] | None) -> None:
        """The client's delivery report for the entry at `index`. An abandoned entry stays open: it is sent again."""
        if error is None and message is not None:
            self.settle(index, Outcome(Status.CONFIRMED, Position(message.partition() or 0, message.offset() or 0)))
        elif error is not None:
            self._failed(index, error)

    def _failed(self, index: int, error: KafkaError) -> None:
        destination = self.entries[index].destination
        match errors.meaning(error):
            case errors.Report.ABANDONED:
                self._abandoned()
            case errors.Report.REFUSED:
                self.settle(index, errors.refused(destination, error))
            case errors.Report.UNKNOWN:
                self.settle(index, errors.unknown(destination, error))

    def settle(self, index: int, outcome: Outcome) -> None:
        """Writes the outcome at `index`; the first one stands."""
        if self._outcomes[index] is None:
            self._outcomes[index] = outcome
            self._missing -= 1
            if not self._missing and not self.done.done():
                self.done.set_result(None)

    def open(self) -> list[int]:
        """The indices that have no outcome yet, in order."""
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    def outcomes(self, seconds: float) -> list[Outcome]:
        """The outcome of each entry; one that is missing is unknown, since the `seconds` given ran out."""
        return [
            outcome or errors.expired(entry.destination, seconds)
            for entry, outcome in zip(self.entries, self._outcomes, strict=True)
        ]
