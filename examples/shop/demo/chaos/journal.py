"""What became of the deliveries, in a file that outlives the processes that write it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime import Prepared, Undelivered
    from busbridge.transport import Delivery


class Journal:
    """An observer of one process's bus. Each line is one write, so that a kill leaves no half of one."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        """As `Observer.publishing`: of no interest here."""

    def undelivered(self, failures: Sequence[Undelivered]) -> None:
        """As `Observer.undelivered`: it is tried again."""

    def parked(self, message_id: str, destination: str, error: BaseException | None) -> None:
        """As `Observer.parked`: the books will miss it."""

    def ended(self, plan: SubscriptionPlan, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        """As `Observer.ended`."""
        again = "again" if delivery.redelivered else "first"
        os.write(self._file, f"{plan.service}.{plan.name} {fate} {again}\n".encode())


class Entries:
    """What all processes have written so far."""

    def __init__(self, file: Path) -> None:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self._counts = Counter(tuple(each.split()) for each in lines)

    @property
    def deliveries(self) -> int:
        """Those that came to an end in a process that lived to tell."""
        return self._counts.total()

    @property
    def again(self) -> int:
        """Of these, those that the broker had handed over before."""
        return sum(count for (_, _, again), count in self._counts.items() if again == "again")

    def of(self, fate: str) -> int:
        """Deliveries that ended so."""
        return sum(count for (_, found, _), count in self._counts.items() if found == fate)
