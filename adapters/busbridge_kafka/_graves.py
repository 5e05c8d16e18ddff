"""The dead letters of a subscription, as its Kafka topic has them and nobody has settled them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast, final

from confluent_kafka import KafkaException

from busbridge.errors import ClosedError, SourceEnded, TransportError
from busbridge.retry import moment
from busbridge.routing import StartAt
from busbridge.transport import Buried, Entry, Status
from busbridge_kafka import _redrives as redrives

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from confluent_kafka import KafkaError

    from busbridge.errors import BusbridgeError
    from busbridge.routing import Destination, SubscriptionPlan
    from busbridge.transport import Again, Headers, Kept, Outcome, Position, Until
    from busbridge_kafka._admin import Admin, Shape
    from busbridge_kafka._history import KafkaHistory
    from busbridge_kafka._producer import Publisher
    from busbridge_kafka._topology import Wanted

    Read = Callable[[Destination, StartAt, Until], Awaitable[KafkaHistory]]


SECONDS: Final = 30.0
"""For the broker to take what says that dead letters are settled."""


@final
class Redriven:
    """A dead letter on its way to its subscription: its key decides its partition, as it did in its source."""

    __slots__ = ("body", "destination", "headers", "key")

    def __init__(self, destination: Destination, again: Again) -> None:
        self.destination = destination
        self.body = again.letter.body
        self.key = again.letter.key
        self.headers: Headers = list(again.headers)


@final
class KafkaDeadLetters:
    """Those up to the end that the Kafka topic had when this was opened, without those settled by then."""

    def __init__(
        self,
        plan: SubscriptionPlan,
        publisher: Publisher,
        admin: Callable[[], Admin],
        read: Read,
        explained: Callable[[KafkaError], BusbridgeError],
    ) -> None:
        self._plan = plan
        self._publisher = publisher
        self._admin = admin
        self._read = read
        self._explained = explained
        self._history: KafkaHistory | None = None
        self._settled: set[str] = set()
        self._partitions = 0
        self._identity = ""
        self._made: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        """Sees how far the dead letters reach, then which of them are settled: never one too few."""
        names = self._plan.dead_letters, redrives.settled_of(self._plan)
        there = await self._there(names)
        if names[0] in there:
            self._partitions, _, self._identity = there[names[0]]
            self._history = await self._read(redrives.dead_of(self._plan), StartAt("earliest"), "now")
        if names[1] in there:
            await self._read_settled()

    async def _read_settled(self) -> None:
        marks = await self._read(redrives.settled_place(self._plan), StartAt("earliest"), "now")
        try:
            while True:
                self._settled.update(_text(each.key) for each in await marks.receive())
        except SourceEnded:
            return
        finally:
            await marks.close()

    @property
    def remaining(self) -> int:
        """See `DeadLetters.remaining`."""
        return 0 if self._history is None else self._history.remaining or 0

    async def receive(self) -> Sequence[Buried]:
        """See `DeadLetters.receive`."""
        self._check_open()
        if self._history is None:
            raise SourceEnded(repr(self))
        while True:
            found = await self._history.receive()
            if letters := [
                _buried(each) for each in found if redrives.mark_of(self._identity, each.position) not in self._settled
            ]:
                return letters

    async def redrive(self, letters: Sequence[Again], seconds: float) -> Sequence[Outcome]:
        """See `DeadLetters.redrive`."""
        self._check_open()
        await self._ensure(redrives.wanted_redrives(self._plan, self._partitions))
        place = redrives.plan_of(self._plan).destination
        return await self._publisher.publish([Redriven(place, each) for each in letters], seconds)

    async def remove(self, letters: Sequence[Buried]) -> None:
        """See `DeadLetters.remove`."""
        self._check_open()
        await self._ensure(redrives.wanted_settled(self._plan))
        place, now = redrives.settled_place(self._plan), moment().encode()
        marks = [redrives.mark_of(self._identity, cast("Position", each.mark)) for each in letters]
        outcomes = await self._publisher.publish([Entry(place, now, (), mark) for mark in marks], SECONDS)
        for outcome in outcomes:
            if outcome.status is not Status.CONFIRMED:
                raise TransportError(f"some dead letters of {self._plan.group!r} are still there: {outcome.error}")
        self._settled.update(marks)

    async def close(self) -> None:
        """See `DeadLetters.close`."""
        self._closed = True
        if self._history is not None:
            await self._history.close()

    async def _there(self, names: Sequence[str]) -> dict[str, Shape]:
        """Those of the Kafka topics that exist."""
        try:
            with self._admin() as admin:
                return await admin.shapes(names)
        except KafkaException as error:
            raise self._explained(error.args[0]) from error
        except TimeoutError as error:
            raise TransportError(f"no answer about the dead letters of {self._plan.group!r}") from error

    async def _ensure(self, wanted: Wanted) -> None:
        if wanted.name in self._made:
            return
        if wanted.name not in await self._there([wanted.name]):
            await self._create(wanted)
        self._made.add(wanted.name)

    async def _create(self, wanted: Wanted) -> None:
        try:
            with self._admin() as admin:
                await admin.create(wanted.name, wanted.partitions, wanted.replication, wanted.config)
                await admin.visible([wanted.name])
        except KafkaException as error:
            raise self._explained(error.args[0]) from error
        except TimeoutError as error:
            raise TransportError(f"Kafka topic {wanted.name!r} was not created in time") from error

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(repr(self))

    def __repr__(self) -> str:
        return f"<KafkaDeadLetters of {self._plan.group!r}, {self.remaining} to come>"


def _buried(kept: Kept) -> Buried:
    return Buried(kept.body, kept.headers, kept.key, kept.position)


def _text(key: str | bytes | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""
