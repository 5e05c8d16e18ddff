"""Deliveries whose end is kept until it can be committed: in the order in which the broker handed them over."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol, final

from busbridge.transport import Delivery, Finished, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.transport import Headers, Position


class Keeper(Protocol):
    """Whom a delivery tells that its handling has ended."""

    def finished(self, held: Held) -> None: ...
    def released(self, held: Held) -> None: ...


@final
class Held(Delivery):
    """A delivery as its handling sees it: settled as any other, while its broker hears nothing of it yet."""

    __slots__ = ("attempts", "delivery", "doomed", "error", "fate", "keeper", "line", "outgoing", "record")

    def __init__(self, delivery: Delivery, line: Line, keeper: Keeper) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.session = delivery.session
        self.body = delivery.body
        self.key = delivery.key
        self.redelivered = delivery.redelivered
        self.attempt = self.attempts = delivery.attempt
        self.settlement = None
        self.delivery = delivery
        self.line = line
        self.keeper = keeper
        self.outgoing: Sequence[Prepared] = ()
        """What its handler published."""
        self.record: Headers | None = None
        self.fate = ""
        """How it ended, in an observer's word."""
        self.error: BaseException | None = None
        self.doomed = False
        """It left its line, and can't be committed any more."""

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """The delivery's own: a transport may make them when they are asked for."""
        return self.delivery.headers

    @property
    def position(self) -> Position | None:  # type: ignore[override]
        """The delivery's own."""
        return self.delivery.position

    def reopen(self) -> None:
        """What it ended with can't be: it is to end in another way."""
        self.settlement = self.record = None
        self.outgoing = ()

    def result(self) -> Finished:
        """How it ended, for the broker."""
        entries = [entry for each in self.outgoing for _, entry in each.entries]
        return Finished(self.delivery, entries, self.record)

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        if settlement is Settlement.RETRIED:
            raise NotImplementedError("a delivery that is settled by a transaction is tried again by who handles it")
        self.record = record if settlement is Settlement.REJECTED else None
        self.keeper.finished(self)

    def _release(self) -> None:
        self.keeper.released(self)


@final
class Line:
    """What one session handed over and is not committed, in its order. Only its finished head can be committed."""

    __slots__ = ("cut", "held")

    def __init__(self) -> None:
        self.held: deque[Held] = deque()
        self.cut = False
        """One was given back: what stands behind it will be handed over again, and can't be committed here."""

    def head(self) -> list[Held]:
        """The finished ones before any that is not."""
        return list(takewhile(lambda held: held.settlement is not None, self.held))

    def leave(self, held: Held) -> list[Held]:
        """`held` is given back: takes it out, with all behind it, and returns these."""
        self.cut = True
        behind: list[Held] = []
        while (last := self.held.pop()) is not held:
            behind.append(last)
        for each in (held, *behind):
            each.doomed = True
        return behind
