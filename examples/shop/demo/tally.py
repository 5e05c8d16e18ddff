"""What happened so far: sees every delivery end, and waits until all that is expected has ended."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from busbridge.errors import BusbridgeError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from busbridge import Bus
    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime import Prepared, Undelivered
    from busbridge.transport import Delivery
    from examples.shop.order import Order

_ID = ("ce-id", "ce_id")
"""The header with the message's id, on RabbitMQ and on Kafka."""


class Incomplete(BusbridgeError):
    """Not everything was handled: time was up, or a message had become a dead letter before."""

    def __init__(self, seconds: float, missing: Mapping[str, tuple[int, int]], dead: Sequence[str]) -> None:
        self.missing = dict(missing)
        self.dead = tuple(dead)
        counts = (f"{name} has handled {have:,} of {want:,}" for name, (have, want) in missing.items())
        why = "there are dead letters" if dead else f"{seconds:g} s were not enough"
        super().__init__("\n  ".join([f"the shop is not done, {why}:", *dead, *counts]))


class Line:
    """The tally of one subscription, over all replicas of its service."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.began = self.ended = 0.0
        self.messages: set[object] = set()
        self.copies = 0
        """Deliveries of a message that was handled before."""
        self.repeated = 0
        """Attempts after the first, of handlers that raised."""
        self.shares: list[int] = []
        """What each replica handled."""

    @property
    def seconds(self) -> float:
        """From its first delivery to its last."""
        return self.ended - self.began

    def count(self, delivery: Delivery) -> None:
        """One more delivery has ended."""
        message_id = next(value for name, value in delivery.headers if name in _ID)
        self.copies += message_id in self.messages
        self.messages.add(message_id)
        self.ended = monotonic()
        self.began = self.began or self.ended


class Tally:
    """An observer of buses."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.dead: list[str] = []
        self.placed = ""
        """In words: what checkout has published."""
        self.rebuilt = ""
        """In words: what loyalty has read in the end."""
        self._changed = asyncio.Event()

    def expect(self, expected: Mapping[str, int]) -> None:
        """Begins a phase: how many messages each of these subscriptions must get."""
        self.lines.update({name: Line(count) for name, count in expected.items()})

    @contextmanager
    def placing(self, orders: Sequence[Order]) -> Generator[None]:
        """Measures how long checkout takes."""
        began = monotonic()
        yield
        self.placed = f"Checkout placed {len(orders):,} orders in {monotonic() - began:.1f} s, each message confirmed."

    async def complete(self, seconds: float) -> None:
        """Waits until every expected message has been handled. Raises Incomplete, at the first dead letter at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._missing() and not self.dead:
                    self._changed.clear()
                    await self._changed.wait()
        if self.dead or self._missing():
            raise Incomplete(seconds, self._missing(), self.dead)

    def close(self, buses: Iterable[Bus[Any]]) -> None:
        """Takes down what only the buses know, at the end of a phase."""
        for bus in buses:
            for name, counts in bus.counts.items():
                line = self.lines[f"{bus.service.name}.{name}"]
                line.repeated += counts.repeated
                line.shares.append(counts.handled)

    def _missing(self) -> dict[str, tuple[int, int]]:
        counts = {name: (len(line.messages), line.expected) for name, line in self.lines.items()}
        return {name: (have, want) for name, (have, want) in counts.items() if have < want}

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        """As `Observer.publishing`: of no interest here."""

    def undelivered(self, failures: Sequence[Undelivered]) -> None:
        """As `Observer.undelivered`: checkout's own is raised, a handler's ends in its delivery."""

    def parked(self, message_id: str, destination: str, error: BaseException | None) -> None:
        """As `Observer.parked`: the books will miss it."""

    def ended(self, plan: SubscriptionPlan, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        """As `Observer.ended`."""
        name = f"{plan.service}.{plan.name}"
        if fate == "dead":
            self.dead.append(f"{name} has a dead letter: {error!r}")
        if fate != "released":
            self.lines[name].count(delivery)
        self._changed.set()
