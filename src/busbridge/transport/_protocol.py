"""The contract between the library and a broker: what an adapter implements, in one screen.

Batch first: a transport takes a batch of entries and answers with an outcome for each; it hands over batches of
deliveries and sends settlements in batches. One message is a batch of one.

Every method runs on one event loop. Errors are those of `busbridge.errors`; a client's own exception never crosses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from busbridge.errors import Fault
    from busbridge.routing import Destination, StartAt, SubscriptionPlan, Topology, TransportSettings
    from busbridge.transport._capabilities import Capabilities
    from busbridge.transport._messages import Delivery, Entry, Kept, Outcome
    from busbridge.transport._position import Part

Until: TypeAlias = "Literal['now'] | datetime | None"
"""Where reading ends: at the end the stream has when it begins, before what was kept from a time on; None: nowhere."""


class Source(Protocol):
    """Deliveries of one subscription in this process. One reader.

    It owns what it has fetched, not the task that waits (T5).
    """

    async def receive(self) -> Sequence[Delivery]:
        """Waits for at least one delivery and returns all that may be handed over now.

        Never more unsettled at a time than the plan's prefetch. A cancelled wait loses nothing. Order: per key on
        ordered destinations. Raises SourceEnded after `drain` when all that was held is handed over; ClosedError after
        `close`; PositionLost, AccessRefused or TopologyMismatch when it can't go on by itself. A lost connection is not
        raised: the transport reconnects and goes on.
        """
        ...

    def drain(self) -> None:
        """Stops taking from the broker. What is held and must be handled for the sake of order is still handed over."""
        ...

    async def flush(self, seconds: float) -> bool:
        """Waits until every settlement so far is with the broker, dead letters confirmed.

        False if `seconds` ran out first.
        """
        ...

    async def close(self) -> None:
        """Leaves: sends what is settled, gives back what is not. Ends within a few seconds, also without a broker.

        Twice is fine. Wakes a blocked `receive` with ClosedError.
        """
        ...


class Transport(Protocol):
    """One broker, as one process uses it.

    Found by entry point group `busbridge.transports`; its name there is the URL's scheme.
    """

    capabilities: ClassVar[Capabilities]
    system: ClassVar[str]
    """What OpenTelemetry's `messaging.system` calls it: `kafka`, `rabbitmq`."""
    header_prefix: ClassVar[str]
    """What CloudEvents attributes are written with: `ce_` on Kafka, `ce-` on AMQP."""

    def __init__(self, settings: TransportSettings) -> None: ...

    @classmethod
    def check(cls, settings: TransportSettings) -> Iterable[Fault]:
        """What is wrong with the settings, without connecting; locations are relative to the transport's own keys."""
        ...

    async def open(self) -> None:
        """Connects, waiting with jittered back-off for `settings.patience`, then Unavailable; AccessRefused at once."""
        ...

    async def provision(self, topology: Topology) -> None:
        """Creates what is declared, idempotently; verifies what exists or must not be created.

        Raises TopologyMismatch naming the difference, AccessRefused, Unavailable. Nothing that exists is ever changed.
        """
        ...

    async def remove(self, topology: Topology) -> None:
        """Deletes what `provision` and `subscribe` create for it, and every message in there. Nothing brings it back.

        For tests and demonstrations with names of their own. What isn't there is fine, so that removing twice is; a
        destination with `provision=False` stays, without the subscriptions. Nobody may be taking deliveries any more:
        where that is seen, it is waited for briefly, then TransportError. Raises AccessRefused, Unavailable.
        """
        ...

    async def publish(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:
        """Publishes all; returns the outcome of each, in the order of `entries`, once all are known or time is up.

        Entries of one key and destination are written in order, also over concurrent calls, which are served in the
        order they were made. What a lost connection left unconfirmed is sent again, same bytes, same order, until the
        deadline; then it is unknown. Waits while too much is unconfirmed (T18). An entry that is refused stops no
        other. Cancelling it leaves the outcomes unknown. Raises ClosedError, nothing else.
        """
        ...

    async def subscribe(self, plan: SubscriptionPlan) -> Source:
        """Begins to take deliveries. The topology was provisioned before. Raises as `provision`."""
        ...

    async def close(self) -> None:
        """Flushes and leaves, sources first. Twice is fine.

        Ends within a few seconds, also under a blocked connection.
        """
        ...


class Delaying(Transport, Protocol):
    """What a transport that declares `delays` has besides. `provision` and `remove` know the places of waiting too."""

    async def returning(self, plan: SubscriptionPlan) -> Sequence[Source]:
        """Begins to take what was put off (`Delivery.later`) and does not come back by what `subscribe` returned.

        Never hands over before it is due. What waits is held beside the plan's prefetch. Raises as `subscribe`.
        """
        ...


class History(Protocol):
    """What a stream has kept, as one reader goes through it. No subscription: nobody's position moves by it."""

    @property
    def remaining(self) -> int | None:
        """Positions between what was received and the end, gaps included: no more messages will come. None: no end."""
        ...

    @property
    def parts(self) -> Mapping[int, Part]:
        """What is read of each partition, as it was worked out when reading began."""
        ...

    async def receive(self) -> Sequence[Kept]:
        """Waits for at least one message and returns what may be handed over now, each partition in its order.

        Fetches when it is called, and no more ahead than the client does by itself. A cancelled wait loses nothing.
        Raises SourceEnded at the end; ClosedError after `close`; PositionLost where the next position is gone from the
        stream, AccessRefused, TopologyMismatch, TransportError where it can't go on by itself. A lost connection is not
        raised: the transport reconnects and goes on.
        """
        ...

    def abandon(self) -> None:
        """Nobody will receive any more: what it holds is let go soon. A plain call, from any thread, also twice."""
        ...

    async def close(self) -> None:
        """As `abandon`, and waits for it. Wakes a blocked `receive` with ClosedError. Twice is fine."""
        ...


class Replayable(Transport, Protocol):
    """What a transport that declares `replayable` has besides."""

    async def read(self, destination: Destination, start: StartAt, until: Until) -> History:
        """Begins to read a stream, at any time and beside any subscription; leaves nothing on the broker.

        Where it begins and where it ends is worked out now, for each partition that is there now. An offset beyond the
        end is the end. Raises PositionLost for an offset that the stream no longer holds, TopologyMismatch where it
        does not exist, AccessRefused, Unavailable once the transport's patience ran out, ClosedError.
        """
        ...

    async def read_parts(self, destination: Destination, parts: Mapping[int, Part]) -> History:
        """As `read`, of these partitions alone, each from where to where it says: to go on with what was begun.

        Receiving raises PositionLost where a part is no longer in the stream.
        """
        ...
