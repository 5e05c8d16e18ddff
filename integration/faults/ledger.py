"""What became of each order, and what befell the brokers and the workers meanwhile."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from busbridge.transport import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

FOLDER = "BUSBRIDGE_FAULTS_FOLDER"
"""The variable that names the folder in which the ledger of a failure is kept; else it is a new temporary one."""


HEALED = "healed"
"""The entry that says that a fault is over."""


class Fate:
    """One order's."""

    __slots__ = ("begun", "ended", "ids", "outcome")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.ended: float | None = None
        self.outcome: Status | None = None
        """That of its publish; None while it lasts."""
        self.ids: tuple[str, ...] = ()
        """The ids of the messages that said it was booked, each once."""


class Verdict(NamedTuple):
    """All but the last two must be empty."""

    lost: AbstractSet[str]
    """Confirmed, and without an effect."""
    twice: AbstractSet[str]
    """With their effect more than once."""
    invented: AbstractSet[str]
    """With an effect that nobody asked for."""
    ghosts: AbstractSet[str]
    """Refused, and with an effect all the same."""
    unheard: AbstractSet[str]
    """With an effect whose message did not arrive, or a message without the effect."""
    renamed: AbstractSet[str]
    """Whose message arrived under more than one id."""
    recovered: AbstractSet[str]
    """With an effect, and of an unknown outcome."""
    effects: int
    """Orders with their effect."""

    def wrong(self) -> dict[str, AbstractSet[str]]:
        """What must not be."""
        found = self._asdict()
        return {name: found[name] for name in _FORBIDDEN if found[name]}


_FORBIDDEN = ("lost", "twice", "invented", "ghosts", "unheard", "renamed")


class Ledger:
    """Kept by the publisher and by who hears of bookings; times are seconds since it was begun."""

    def __init__(self) -> None:
        self.fates: dict[str, Fate] = {}
        self.faults: list[dict[str, Any]] = []
        self.heard = 0
        """Orders that were said to be booked."""
        self.owed = 0
        """Orders that were confirmed and not yet said to be booked."""
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since it was begun."""
        return round(time.monotonic() - self._began, 3)

    def begin(self, order: str) -> None:
        """Publishing it begins."""
        self.fates[order] = Fate(self.now)

    def end(self, order: str, outcome: Status) -> None:
        """Publishing it has ended."""
        fate = self.fates[order]
        fate.outcome, fate.ended = outcome, self.now
        self.owed += outcome is Status.CONFIRMED and not fate.ids

    def hear(self, order: str, message_id: str) -> None:
        """A message said that it was booked."""
        fate = self.fates.get(order)
        if fate is not None and message_id not in fate.ids:
            self.heard += not fate.ids
            self.owed -= fate.outcome is Status.CONFIRMED and not fate.ids
            fate.ids += (message_id,)

    def fault(self, name: str, **facts: Any) -> None:
        """Something befell somebody."""
        self.faults.append({"at": self.now, "fault": name, **facts})

    @property
    def storms(self) -> int:
        """How many faults there were; that one is over is written down, too."""
        return sum(each["fault"] != HEALED for each in self.faults)

    def outcomes(self) -> Counter[Status | None]:
        """How publishing ended, and how often."""
        return Counter(each.outcome for each in self.fates.values())

    def judge(self, effects: Mapping[str, int]) -> Verdict:
        """What is wrong, given how often each order has its effect."""
        by: dict[Status | None, set[str]] = {each: set() for each in (*Status, None)}
        for order, fate in self.fates.items():
            by[fate.outcome].add(order)
        told = {order for order, fate in self.fates.items() if fate.ids}
        return Verdict(
            lost=by[Status.CONFIRMED] - effects.keys(),
            twice={order for order, count in effects.items() if count > 1},
            invented=effects.keys() - self.fates.keys(),
            ghosts=effects.keys() & by[Status.REFUSED],
            unheard=told ^ (effects.keys() & self.fates.keys()),
            renamed={order for order, fate in self.fates.items() if len(fate.ids) > 1},
            recovered=effects.keys() & (by[Status.UNKNOWN] | by[None]),
            effects=len(effects),
        )

    def save(self, name: str, effects: Mapping[str, int], calls: Mapping[str, int]) -> Path:
        """Writes all of it as JSON lines, faults first; returns the file."""
        folder = Path(os.environ.get(FOLDER) or tempfile.mkdtemp(prefix="busbridge-faults-"))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(f"{json.dumps(each)}\n" for each in self._lines(effects, calls))
        return file

    def _lines(self, effects: Mapping[str, int], calls: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        yield from self.faults
        for order, fate in self.fates.items():
            counts = {"calls": calls.get(order, 0), "effects": effects.get(order, 0)}
            ways = {"at": fate.begun, "ended": fate.ended, "outcome": fate.outcome, "ids": fate.ids}
            yield {"order": order, **ways, **counts}
