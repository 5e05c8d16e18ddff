"""The dead letters of a subscription, as the in-memory broker has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast, final

from busbridge.errors import ClosedError, SourceEnded
from busbridge.memory._stored import Stored
from busbridge.transport import Buried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.memory._broker import MemoryBroker
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Again, Outcome

_BATCH: Final = 100


@final
class MemoryDeadLetters:
    """Those that were there when it was made."""

    def __init__(self, broker: MemoryBroker, plan: SubscriptionPlan) -> None:
        self._broker = broker
        self._plan = plan
        self._left = broker.dead_letters(plan)
        self._closed = False

    @property
    def remaining(self) -> int:
        """As `DeadLetters.remaining`."""
        return len(self._left)

    async def receive(self) -> Sequence[Buried]:
        """As `DeadLetters.receive`. Always lets other tasks run."""
        await asyncio.sleep(0)
        self._check_open()
        if not self._left:
            raise SourceEnded(repr(self))
        batch, self._left = self._left[:_BATCH], self._left[_BATCH:]
        return [Buried(each.body, each.headers, each.key, each) for each in batch]

    async def redrive(self, letters: Sequence[Again], seconds: float) -> Sequence[Outcome]:  # noqa: ARG002 - at once
        """As `DeadLetters.redrive`."""
        self._check_open()
        return [self._broker.redrive(self._plan, _again(each)) for each in letters]

    async def remove(self, letters: Sequence[Buried]) -> None:
        """As `DeadLetters.remove`."""
        self._check_open()
        self._broker.forget_dead(self._plan, [cast("Stored", each.mark) for each in letters])

    async def close(self) -> None:
        """As `DeadLetters.close`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(repr(self))

    def __repr__(self) -> str:
        return f"<MemoryDeadLetters of {self._plan.group!r}, {len(self._left)} to come>"


def _again(again: Again) -> Stored:
    key = cast("str | None", again.letter.key)
    return Stored(again.letter.body, tuple(again.headers), key)
