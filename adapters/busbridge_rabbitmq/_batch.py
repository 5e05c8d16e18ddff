"""What is published together, and each message of it on its way to an outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from busbridge.errors import MessageRefused, OutcomeUnknown
from busbridge.transport import Outcome, Status
from busbridge_rabbitmq._properties import MESSAGE_ID

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from pika.spec import BasicProperties

    from busbridge_rabbitmq._routes import Route


@final
class Batch:
    """The outcomes of one publish, filled as the confirms come."""

    __slots__ = ("_left", "done", "outcomes", "over", "places")

    def __init__(self, places: Sequence[str], done: asyncio.Future[None]) -> None:
        self.places = places
        """Where each entry goes, for the error that says so."""
        self.outcomes: list[Outcome | None] = [None] * len(places)
        self.done = done
        self.over = False
        """True when nobody waits any more: what was not written yet won't be."""
        self._left = len(places)
        if not places:
            done.set_result(None)

    def settle(self, index: int, outcome: Outcome) -> None:
        """Notes the outcome of one entry."""
        if self.outcomes[index] is None:
            self.outcomes[index] = outcome
            self._left -= 1
            if not self._left and not self.done.done():
                self.done.set_result(None)

    def __repr__(self) -> str:
        return f"<Batch of {len(self.outcomes)}, {self._left} to go>"


@final
class Item:
    """One message on its way."""

    __slots__ = ("batch", "body", "index", "properties", "returned", "route", "routing_key")

    def __init__(
        self, batch: Batch, index: int, route: Route, routing_key: str, properties: BasicProperties, body: bytes
    ) -> None:
        self.batch = batch
        self.index = index
        self.route = route
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.returned: str | None = None

    def is_this(self, method: Any, properties: BasicProperties) -> bool:
        """Whether a returned message is this one. A return carries no delivery tag (T12)."""
        return (
            self.routing_key == method.routing_key
            and self.route.exchange == method.exchange
            and self.properties.message_id == properties.message_id
            and _id(self.properties) == _id(properties)
        )

    def refuse(self, reason: str, detail: str) -> None:
        """The broker does not own it and never will."""
        self.batch.settle(self.index, Outcome(Status.REFUSED, error=MessageRefused(reason, self.route.name, detail)))

    def give_up(self, detail: str) -> None:
        """Nobody knows."""
        self.batch.settle(self.index, unknown(self.route.name, detail))


def unknown(place: str, detail: str) -> Outcome:
    """The outcome of an entry that the broker may own, or not."""
    return Outcome(Status.UNKNOWN, error=OutcomeUnknown(place, detail))


def _id(properties: BasicProperties) -> object:
    return properties.headers.get(MESSAGE_ID) if properties.headers else None
