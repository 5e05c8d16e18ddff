"""A Kafka message on its way to a handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.transport import Delivery, Position, Settlement

if TYPE_CHECKING:
    from typing import Protocol

    from confluent_kafka import Message

    from busbridge.transport import Headers
    from busbridge_kafka._partition import Assignment

    class Settler(Protocol):
        """Whom a delivery tells how it ended: its source."""

        def finished(self, delivery: KafkaDelivery) -> None: ...
        def again(self, delivery: KafkaDelivery) -> None: ...
        def bury(self, delivery: KafkaDelivery, record: Headers) -> None: ...
        def released(self, delivery: KafkaDelivery) -> None: ...


@final
class KafkaDelivery(Delivery):
    """A delivery whose session is one assignment of its partition."""

    __slots__ = ("assignment", "given_back", "offset", "settler")

    def __init__(
        self,
        settler: Settler,
        assignment: Assignment,
        offset: int,
        body: bytes | None,
        headers: Headers,
        key: bytes | None,
        attempt: int = 1,
    ) -> None:
        # The slots of the base class are written here: a second call would be a third of what handing over costs.
        self.session = self.assignment = assignment
        self.body = body
        self.headers = headers
        self.key = key
        self.position = Position(assignment.partition, offset)
        self.redelivered = attempt > 1
        self.attempt = attempt
        self.settlement = None
        self.settler = settler
        self.offset = offset
        self.given_back = False

    @classmethod
    def of(cls, settler: Settler, assignment: Assignment, offset: int, message: Message[bytes, bytes]) -> KafkaDelivery:
        """The first attempt at `message`."""
        headers = message.headers() or ()
        return cls(settler, assignment, offset, message.value(), headers, message.key())

    def next_attempt(self) -> KafkaDelivery:
        """The same message, to be handed over once more."""
        key = self.key if isinstance(self.key, bytes) else None
        return KafkaDelivery(
            self.settler, self.assignment, self.offset, self.body, self.headers, key, self.attempt + 1
        )

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        if settlement is Settlement.ACCEPTED:
            self.settler.finished(self)
        elif settlement is Settlement.RETRIED:
            self.settler.again(self)
        else:
            self.settler.bury(self, record)

    def _release(self) -> None:
        if not self.given_back:
            self.given_back = True
            self.settler.released(self)
