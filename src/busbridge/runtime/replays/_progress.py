"""How far a replay run has come, partition by partition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, final

from busbridge.transport import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from busbridge.routing import ReplayRun
    from busbridge.store import RunRow
    from busbridge.transport import Position


class Reach(NamedTuple):
    """How far a run has come in a partition."""

    mark: int
    """The first offset that is not handled."""
    handed: int
    """The first offset that was never handed to a handler."""
    end: int


@final
class Progress:
    """Of one run, in this process."""

    def __init__(
        self, run: ReplayRun, subscription: str, parts: Mapping[int, Part], handed: Mapping[int, int] | None = None
    ) -> None:
        """`handed`: what an earlier process of the run had handed over, by partition."""
        self.run = run
        self.subscription = subscription
        self._marks = {index: part.begin for index, part in parts.items()}
        self._ends = {index: part.begin if part.end is None else part.end for index, part in parts.items()}
        self._handed = {**self._marks, **(handed or {})}
        self._doubtful = dict(self._handed)

    @classmethod
    def read(cls, run: ReplayRun, row: RunRow) -> Progress:
        """As it was kept."""
        reaches = {int(index): Reach(*reach) for index, reach in json.loads(row.progress).items()}
        parts = {index: Part(reach.mark, reach.end) for index, reach in reaches.items()}
        return cls(run, row.subscription, parts, {index: reach.handed for index, reach in reaches.items()})

    @property
    def parts(self) -> dict[int, Part]:
        """What is left to be read."""
        return {index: Part(mark, self._ends[index]) for index, mark in self._marks.items()}

    @property
    def remaining(self) -> int:
        """Offsets that are not handled: some may hold no message."""
        return sum(max(self._ends[index] - mark, 0) for index, mark in self._marks.items())

    def is_doubtful(self, position: Position) -> bool:
        """Whether an earlier process had handed it over, and may have died of it (T7)."""
        return position.offset < self._doubtful[position.partition]

    def hand_over(self, positions: Iterable[Position]) -> None:
        """They are about to be handed to handlers."""
        for partition, offset in positions:
            self._handed[partition] = max(self._handed[partition], offset + 1)

    def finish(self, position: Position) -> None:
        """It, and all before it in its partition, is handled."""
        self._marks[position.partition] = position.offset + 1

    def finish_all(self) -> None:
        """Everything is handled: what is left of the parts holds nothing."""
        self._marks = dict(self._ends)

    def text(self) -> str:
        """For the store."""
        return json.dumps(
            {index: Reach(mark, self._handed[index], self._ends[index]) for index, mark in self._marks.items()}
        )

    def __repr__(self) -> str:
        return f"<Progress of {self.run.id!r}, remaining {self.remaining}>"
