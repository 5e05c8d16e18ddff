"""Dead letters as a transport hands them to an operator: looked at, sent to their subscription again, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, final

from busbridge.transport._protocol import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport._messages import Headers, Outcome
    from busbridge.transport._protocol import Source


@final
class Buried:
    """A dead letter as its place keeps it. `mark` is what the place knows it by, and nobody else's business."""

    __slots__ = ("body", "headers", "key", "mark")

    def __init__(self, body: bytes | None, headers: Headers, key: str | bytes | None, mark: object) -> None:
        self.body = body
        self.headers = headers
        self.key = key
        self.mark = mark

    def __repr__(self) -> str:
        size = "no body" if self.body is None else f"{len(self.body)} bytes"
        return f"<Buried {size}, {len(self.headers)} headers>"


class Again(NamedTuple):
    """A dead letter that is sent again, and the headers that it is sent with instead of its own."""

    letter: Buried
    headers: Headers


class DeadLetters(Protocol):
    """The dead letters of one subscription that stood there when this was opened, for one operator.

    What comes later is not among them, so that what is sent again and fails again is met once. Calls that wait for a
    broker raise TransportError where it can't be reached, or forgot what it had handed over: then nothing is lost, and
    all that was not removed is there for the next who looks.
    """

    @property
    def remaining(self) -> int:
        """How many may still be handed over, at most: what another operator holds is not."""
        ...

    async def receive(self) -> Sequence[Buried]:
        """The next ones, oldest first (on a stream: of each partition). Raises SourceEnded at the end; ClosedError.

        A cancelled wait loses nothing.
        """
        ...

    async def redrive(self, letters: Sequence[Again], seconds: float) -> Sequence[Outcome]:
        """Publishes to the subscription alone: body, key and properties as they were. Removes none.

        The outcome of each, in order, as `Transport.publish` tells them; where the subscription's own place is gone,
        the letter is refused. Raises ClosedError.
        """
        ...

    async def remove(self, letters: Sequence[Buried]) -> None:
        """Forgets them for good; returns once the broker was told. Twice is fine."""
        ...

    async def close(self) -> None:
        """All that was handed over and not removed stays, in its order. Twice is fine."""
        ...


class Redrivable(Transport, Protocol):
    """What a transport that declares `redrive` has besides."""

    async def dead_letters(self, plan: SubscriptionPlan) -> DeadLetters:
        """Opens the dead letters of a subscription; none where it never had a place for them.

        Beside the subscription at work, or without one. Raises AccessRefused, TransportError, ClosedError.
        """
        ...

    async def redriven(self, plan: SubscriptionPlan) -> Source | None:
        """What is redriven to a subscription, for the process that handles it; None where its own source brings it.

        Costs next to nothing until something is redriven. Raises as `subscribe`.
        """
        ...
