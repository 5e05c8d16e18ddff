"""Keys that a round of messages leaves waiting: known at once, handed to the lanes when the round is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    from busbridge.runtime.handling._lanes import Wait
    from busbridge.transport import Delivery


class _Line(NamedTuple):
    deliveries: list[Delivery]
    """The one that failed, and those of its key that came with it, in their order."""
    seconds: float


@final
class Aside:
    """Of one subscription. A key has one lane, so that its line grows in one round only."""

    def __init__(self) -> None:
        self._lines: dict[str | bytes | None, _Line] = {}
        self._since: dict[Delivery, float] = {}

    @property
    def keys(self) -> Collection[str | bytes | None]:
        """Those that wait since a round began that is not over."""
        return self._lines.keys()

    def add(self, delivery: Delivery, seconds: float) -> None:
        """Its next attempt is in `seconds`."""
        self._since.setdefault(delivery, time.monotonic())
        self._lines[delivery.key] = _Line([delivery], seconds)

    def blocked_for(self, delivery: Delivery) -> float:
        """Seconds that its key waits for it, so far."""
        since = self._since.get(delivery)
        return 0.0 if since is None else time.monotonic() - since

    def ended(self, delivery: Delivery) -> None:
        """Nothing waits for it any more."""
        self._since.pop(delivery, None)

    def line_up(self, deliveries: Iterable[Delivery]) -> None:
        """Those whose keys wait."""
        for each in deliveries:
            self._lines[each.key].deliveries.append(each)

    def wait(self, rest: list[Delivery], held: Container[Delivery], wait: Wait) -> list[Delivery]:
        """The round that `held` its deliveries is over, but for `rest`: what is to wait, waits. Returns what is not."""
        if not self._lines:
            return rest
        self.line_up(each for each in rest if each.key in self._lines)
        kept = [each for each in rest if each.key not in self._lines]
        for key in self._of(held):
            wait(*self._lines.pop(key))
        return kept

    def forget(self, held: Container[Delivery]) -> None:
        """The round was given up."""
        for key in self._of(held):
            del self._lines[key]

    def _of(self, held: Container[Delivery]) -> list[str | bytes | None]:
        return [key for key, line in self._lines.items() if line.deliveries[0] in held]
