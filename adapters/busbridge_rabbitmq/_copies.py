"""Where messages of a subscription go whose deliveries are settled by a confirmed copy: dead letters and tiers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.transport import Headers
    from busbridge_rabbitmq._dead_letters import DeadLetters
    from busbridge_rabbitmq._delivery import RabbitDelivery


@final
class Copies:
    """The dead letters of a subscription, and the queues in which its attempts wait, one for each tier."""

    def __init__(self, dead_letters: DeadLetters, tiers: Sequence[DeadLetters] = ()) -> None:
        self._dead_letters = dead_letters
        self._tiers = tiers

    def bury(self, delivery: RabbitDelivery, record: Headers) -> None:
        """Takes over a rejected delivery."""
        self._dead_letters.put(delivery, record)

    def put_off(self, delivery: RabbitDelivery, tier: int, added: Headers) -> None:
        """Takes over a delivery whose message is to wait."""
        self._tiers[tier].put(delivery, added)

    async def idle(self) -> None:
        """Waits until all are confirmed."""
        for each in (self._dead_letters, *self._tiers):
            await each.idle()

    async def close(self, seconds: float) -> None:
        """As `DeadLetters.close`, of all."""
        await asyncio.gather(*(each.close(seconds) for each in (self._dead_letters, *self._tiers)))
