"""What goes into a transport and what comes out: entries with their outcomes, deliveries with their settlements.

These are the per-message objects of the hot path: plain classes with slots, since building a frozen dataclass costs
more than anything else done to a message here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, final

from busbridge.errors import StaleDelivery
from busbridge.transport._standing import standing_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.errors import BusbridgeError
    from busbridge.routing import Destination
    from busbridge.transport._position import Position

Headers: TypeAlias = "Sequence[tuple[str, object]]"
"""Headers as the broker carries them: in order, repeats kept. Values are str or bytes where busbridge wrote them; a
foreign producer may send None (Kafka) or any AMQP field value. The content type travels as header `content-type`."""


@final
class Entry:
    """One message to publish: its bytes and where they go. `key` decides the partition or shard; None: any."""

    __slots__ = ("body", "destination", "headers", "key", "routing_key")

    def __init__(
        self,
        destination: Destination,
        body: bytes | None,
        headers: Headers,
        key: str | None = None,
        routing_key: str = "",
    ) -> None:
        self.destination = destination
        self.body = body
        self.headers = headers
        self.key = key
        self.routing_key = routing_key

    def __repr__(self) -> str:
        size = "no body" if self.body is None else f"{len(self.body)} bytes"
        return f"<Entry to {self.destination.name!r}, {size}>"


@final
class Kept:
    """A message as a stream keeps it. `time` is when the stream took it, in seconds since 1970."""

    __slots__ = ("body", "headers", "key", "position", "time")

    def __init__(
        self, body: bytes | None, headers: Headers, key: str | bytes | None, position: Position, time: float
    ) -> None:
        self.body = body
        self.headers = headers
        self.key = key
        self.position = position
        self.time = time

    def __repr__(self) -> str:
        return f"<Kept at {self.position.partition}:{self.position.offset}>"


class Status(StrEnum):
    """How a publish ended, for one entry."""

    CONFIRMED = "confirmed"
    """The broker owns the message."""
    REFUSED = "refused"
    """It definitely does not, and would not if asked again."""
    UNKNOWN = "unknown"
    """The connection went between write and confirm, and the deadline passed before it could be sent again."""


@final
class Outcome:
    """How publishing one entry ended. `error` says why where it was not confirmed; `position` is known on streams."""

    __slots__ = ("error", "position", "status")

    def __init__(self, status: Status, position: Position | None = None, error: BusbridgeError | None = None) -> None:
        self.status = status
        self.position = position
        self.error = error

    def __repr__(self) -> str:
        return f"<Outcome {self.status.value}{f' at {self.position}' if self.position else ''}>"


CONFIRMED: Final = Outcome(Status.CONFIRMED)
"""The outcome of an entry whose position is not known, shared, since it is the common one."""


class Session:
    """What a delivery lives in: one channel of a connection, one assignment of a partition.

    `taking` turns False when no handling may begin any more (partition being revoked, connection gone): a delivery that
    has not begun is released. `alive` turns False when nothing can be settled any more. Neither turns True again; a
    partition that comes back comes in a new session.
    """

    __slots__ = ("alive", "taking")

    def __init__(self) -> None:
        self.taking = True
        self.alive = True


class Settlement(StrEnum):
    """How a delivery was settled."""

    ACCEPTED = "accepted"
    RETRIED = "retried"
    REJECTED = "rejected"
    DELAYED = "delayed"


class Delivery:
    """One attempt to hand a message to a subscription. Settled once; the first settlement wins.

    A transport subclasses it and implements `_settle`, `_release` and, where it has `delays`, `_put_off`. All methods
    are plain calls on the event loop's thread that never block: the transport collects settlements and sends them in
    batches (`Source.flush` waits).
    """

    __slots__ = ("attempt", "body", "headers", "key", "position", "redelivered", "session", "settlement")

    def __init__(
        self,
        session: Session,
        body: bytes | None,
        headers: Headers,
        key: str | bytes | None,
        position: Position | None = None,
        *,
        redelivered: bool = False,
        attempt: int = 1,
    ) -> None:
        self.session = session
        self.body = body
        self.headers = headers
        self.key = key
        self.position = position
        self.redelivered = redelivered
        self.attempt = attempt
        self.settlement: Settlement | None = None

    def accept(self) -> bool:
        """Handled: the broker may forget it. False if it was settled before. StaleDelivery if its session is gone."""
        return self._once(Settlement.ACCEPTED, ())

    def retry(self) -> bool:
        """Hand it over again, as a new delivery with `attempt` + 1. False and StaleDelivery as `accept`."""
        return self._once(Settlement.RETRIED, ())

    def reject(self, record: Headers) -> bool:
        """To the subscription's dead letters, with its original bytes, key and headers and `record` added.

        The delivery stays unfinished until the dead letter is confirmed, however long that takes. False and
        StaleDelivery as `accept`.
        """
        return self._once(Settlement.REJECTED, record)

    def later(self, tier: int, attempts: int, added: Headers = ()) -> bool:
        """Puts it off: after `tier` of its plan's `retry.tiers` the message comes to this subscription, and no other.

        It comes as a new delivery whose `attempt` is `attempts` + 1, with body, key and position as they were and
        `added` after its headers. This one stays unfinished until the broker has confirmed the message in its place of
        waiting, however long that takes. False and StaleDelivery as `accept`. Where the transport declares `delays`.
        """
        if self.settlement is not None:
            return False
        if not self.session.alive:
            raise StaleDelivery(repr(self))
        self.settlement = Settlement.DELAYED
        self._put_off(tier, [*added, *standing_headers(attempts, self.position)])
        return True

    def release(self) -> None:
        """Not handled and not settled: this process is done with it. It is delivered again after this session."""
        if self.settlement is None:
            self._release()

    def _once(self, settlement: Settlement, record: Headers) -> bool:
        if self.settlement is not None:
            return False
        if not self.session.alive:
            raise StaleDelivery(repr(self))
        self.settlement = settlement
        self._settle(settlement, record)
        return True

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError

    def _put_off(self, tier: int, added: Headers) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        where = f" at {self.position.partition}:{self.position.offset}" if self.position else ""
        return f"<{type(self).__name__}{where}, attempt {self.attempt}, {self.settlement or 'unsettled'}>"
