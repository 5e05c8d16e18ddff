"""Where rejected messages go: key, bytes and headers, with the reason added, to a Kafka topic of the subscription."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import MessageRefused
from busbridge.routing import Destination, Kind
from busbridge.transport import Status
from busbridge_kafka._aliases import aliases

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Headers, Outcome
    from busbridge_kafka._delivery import KafkaDelivery
    from busbridge_kafka._producer import Publisher

_log: Final = logging.getLogger("busbridge.kafka")

SECONDS: Final = 30.0
"""For one attempt to publish a dead letter."""
LONGEST_PAUSE: Final = 30.0
_FEWEST: Final = 2
"""Of a record: why, and which. All that is added to a message that would be too large to be dead otherwise."""


def dead_letter_place(plan: SubscriptionPlan, place: str = "") -> Destination:
    """The Kafka topic of a subscription's dead letters, or another `place` of it, as it is published to."""
    name = place or plan.dead_letters
    return Destination(name, Kind.STREAM, plan.destination.transport, name)


@final
class DeadLetter:
    """A copy of a message that is on its way to the dead letters."""

    __slots__ = ("body", "destination", "headers", "key")

    def __init__(self, destination: Destination, delivery: KafkaDelivery, record: Headers) -> None:
        self.destination = destination
        self.body = delivery.body
        self.headers = [*delivery.headers, *record]  # a list, never a dict: order, repeats and null values are kept
        self.key = delivery.key


@final
class DeadLetters:
    """The dead-letter place of one subscription; or another `place` of it, to which messages go by the same promise."""

    def __init__(self, publisher: Publisher, plan: SubscriptionPlan, place: str = "") -> None:
        self._publisher = publisher
        self._plan = plan
        self._is_tier = bool(place)
        self._destination = dead_letter_place(plan, place)

    async def bury(self, delivery: KafkaDelivery, record: Headers) -> None:
        """Returns when the broker owns the dead letter, however long that takes."""
        also = [] if self._is_tier else aliases(record, self._plan)
        letter = DeadLetter(self._destination, delivery, [*record, *also])
        pause = 0.1
        while True:
            outcome = (await self._publisher.publish([letter], SECONDS))[0]
            if outcome.status is Status.CONFIRMED:
                return
            _log.error("%r could not go to %s, and is kept: %s", delivery, self._destination.name, outcome.error)
            if _is_too_large(outcome) and not self._is_tier:
                letter = DeadLetter(self._destination, delivery, record[:_FEWEST])
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  (jitter, no secret)
            pause = min(pause * 2, LONGEST_PAUSE)


def _is_too_large(outcome: Outcome) -> bool:
    return isinstance(outcome.error, MessageRefused) and outcome.error.reason == "too_large"
