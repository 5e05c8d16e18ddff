"""A Kafka message on its way to a handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

from busbridge.errors import StaleDelivery
from busbridge.transport import Delivery, Position, Settlement, standing_in, without_standing

if TYPE_CHECKING:
    from confluent_kafka import Message

    from busbridge.transport import Headers
    from busbridge_kafka._partition import Assignment


class Settler(Protocol):
    """Whom a delivery tells how it ended: its source."""

    def settled(self) -> None: ...
    def again(self, delivery: KafkaDelivery) -> None: ...
    def bury(self, delivery: KafkaDelivery, record: Headers) -> None: ...
    def put_off(self, delivery: KafkaDelivery, tier: int, added: Headers) -> None: ...
    def released(self, delivery: KafkaDelivery) -> None: ...


class KafkaDelivery(Delivery):
    """A delivery whose session is one assignment of its partition.

    What happens to every message is written out here, without calls to the base class: they were half of its cost.
    """

    __slots__ = ("assignment", "given_back", "message", "offset", "settler")

    def __init__(  # pyright: ignore[reportMissingSuperCall]
        self,
        settler: Settler,
        assignment: Assignment,
        offset: int,
        message: Message[bytes, bytes],
        attempt: int = 1,
    ) -> None:
        self.session = self.assignment = assignment
        self.message = message
        self.body = message.value()
        self.key = message.key()
        self.redelivered = offset < assignment.doubtful or attempt > 1
        self.attempt = attempt
        self.settlement = None
        self.settler = settler
        self.offset = offset
        self.given_back = False

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """Read from the client's message when they are asked for.

        Held for all that wait to be handled, their many small objects would keep the garbage collector busy.
        """
        return self.message.headers() or ()  # type: ignore[return-value]  # a list of pairs, whatever the stubs say

    @property
    def position(self) -> Position:  # type: ignore[override]
        """Where the message stands; made when asked for, which is rare."""
        return Position(self.assignment.partition, self.offset)

    def accept(self) -> bool:
        """See `Delivery.accept`."""
        if self.settlement is not None:
            return False
        if not self.assignment.alive:
            raise StaleDelivery(repr(self))
        self.settlement = Settlement.ACCEPTED
        self.assignment.finish(self.offset)
        self.settler.settled()
        return True

    def committed(self, settlement: Settlement) -> None:
        """A transaction has settled it, and committed its offset: what has become of its session matters no more."""
        self.settlement = settlement
        self.assignment.committed = max(self.assignment.committed, self.offset + 1)  # before it is finished
        self.assignment.finish(self.offset)
        self.settler.settled()

    def next_attempt(self) -> KafkaDelivery:
        """The same message, to be handed over once more."""
        return KafkaDelivery(self.settler, self.assignment, self.offset, self.message, self.attempt + 1)

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        if settlement is Settlement.RETRIED:
            self.settler.again(self)
        else:
            self.settler.bury(self, record)

    def _put_off(self, tier: int, added: Headers) -> None:
        self.settler.put_off(self, tier, added)

    def _release(self) -> None:
        if not self.given_back:
            self.given_back = True
            self.settler.released(self)


@final
class WaitedDelivery(KafkaDelivery):
    """A delivery of a message that has waited: as it was in its stream, by the attempt that its headers say."""

    __slots__ = ("_standing",)

    def __init__(
        self,
        settler: Settler,
        assignment: Assignment,
        offset: int,
        message: Message[bytes, bytes],
        attempt: int = 0,
    ) -> None:
        self._standing = standing_in(message.headers() or ())  # type: ignore[arg-type]  # as in `headers`
        super().__init__(settler, assignment, offset, message, attempt or self._standing.attempts + 1)
        self.redelivered = offset < assignment.doubtful

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """Those that the message had before it waited, and what was added for its handler."""
        return without_standing(super().headers)

    @property
    def position(self) -> Position | None:  # type: ignore[override]
        """Where it stands in the stream."""
        return self._standing.position

    def next_attempt(self) -> WaitedDelivery:
        """As `KafkaDelivery.next_attempt`."""
        return WaitedDelivery(self.settler, self.assignment, self.offset, self.message, self.attempt + 1)
