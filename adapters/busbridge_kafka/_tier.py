"""What waits in one tier of a subscription: a Kafka topic of its own, read by its own group, handed over when due.

Every message in it waits equally long, so that the first that came is the first that is due, and nothing is held up. It
is held by the member that has fetched it, no more than the prefetch; the rest stays on the broker, and the client is
polled meanwhile, so that no wait is too long for the group.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from busbridge.routing import Destination, Kind, StartAt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from busbridge.routing import SubscriptionPlan
    from busbridge_kafka._delivery import KafkaDelivery
    from busbridge_kafka._source import KafkaSource

_LOOK: Final = 0.2
"""Seconds within which a partition that is taken away gets back what waits here: a rebalance waits for it."""
_RESOLUTION: Final = 0.001
"""Of Kafka's timestamps: none must be taken for an earlier one."""


def tier_plan(plan: SubscriptionPlan, name: str) -> SubscriptionPlan:
    """The plan by which the Kafka topic `name`, one of the plan's places of waiting, is read from its beginning."""
    place = Destination(name, Kind.STREAM, plan.destination.transport, name)
    return replace(plan, name=plan.name + name.removeprefix(plan.group), destination=place, start=StartAt())


@final
class TierSource:
    """A `Source` over another one, whose deliveries are handed over `seconds` after their messages were put off."""

    def __init__(self, source: KafkaSource, seconds: float) -> None:
        self._source = source
        self._seconds = seconds
        self._held: list[tuple[float, int, KafkaDelivery]] = []
        self._numbers = itertools.count()
        self._fetching: asyncio.Task[list[KafkaDelivery]] | None = None
        self._draining = False

    async def start(self) -> None:
        """As `KafkaSource.start`."""
        await self._source.start()

    async def receive(self) -> Sequence[KafkaDelivery]:
        """As `Source.receive`."""
        while True:
            self._let_go()
            if due := self._due():
                return due
            await self._fetch()

    def drain(self) -> None:
        """As `Source.drain`. What is not due is left to whoever has its partition next."""
        self._draining = True
        self._let_go()
        self._source.drain()

    async def flush(self, seconds: float) -> bool:
        """As `Source.flush`."""
        return await self._source.flush(seconds)

    async def close(self) -> None:
        """As `Source.close`."""
        self.drain()
        await self._source.close()
        if self._fetching is not None:  # ended by that; nobody may wait for it any more
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetch(self) -> None:
        """Waits for more, until the next one is due. What was fetched belongs to this object (T5)."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._source.receive())
        done, _ = await asyncio.wait([self._fetching], timeout=self._pause())
        if done:
            fetched, self._fetching = self._fetching, None
            for each in fetched.result():
                heapq.heappush(self._held, (self._due_at(each.message), next(self._numbers), each))

    def _pause(self) -> float | None:
        if not self._held:
            return None
        return max(0.0, min(_LOOK, self._held[0][0] - asyncio.get_running_loop().time()))

    def _due_at(self, message: Message[bytes, bytes]) -> float:
        """When it is due, by the loop's clock; a wall clock that jumps keeps it no longer than the tier is long."""
        kind, milliseconds = message.timestamp()
        left = self._seconds
        if kind != TIMESTAMP_NOT_AVAILABLE:
            left += milliseconds / 1000 + _RESOLUTION - time.time()
        return asyncio.get_running_loop().time() + min(max(left, 0.0), self._seconds)

    def _due(self) -> list[KafkaDelivery]:
        now = asyncio.get_running_loop().time()
        due: list[KafkaDelivery] = []
        while self._held and self._held[0][0] <= now:
            due.append(heapq.heappop(self._held)[2])
        return due

    def _let_go(self) -> None:
        """Gives back what will not begin here any more."""
        kept = [each for each in self._held if each[2].session.taking and not self._draining]
        if len(kept) < len(self._held):
            going, self._held = self._held, kept
            heapq.heapify(kept)
            for *_, delivery in going:
                if self._draining or not delivery.session.taking:
                    delivery.release()

    def __repr__(self) -> str:
        return f"<TierSource of {self._seconds:g} s, {len(self._held)} wait, {self._source!r}>"
