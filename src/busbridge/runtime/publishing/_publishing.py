"""From a message to the entries that its routes ask for, and their way out."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, NamedTuple, cast, final

from busbridge.contract import Writer
from busbridge.envelope import Encoder, check_headers, new_id, timestamp
from busbridge.errors import InvalidEnvelope, MessageRefused, UndeclaredContract
from busbridge.runtime.publishing._misuse import no_message
from busbridge.runtime.publishing._outcomes import PublishError, Undelivered, undelivered
from busbridge.runtime.publishing._prepared import Prepared
from busbridge.telemetry import passed_on
from busbridge.transport import Entry, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busbridge.contract import Contract
    from busbridge.routing import Config, Destination
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._postponed import Postponed, Postponing
    from busbridge.runtime.publishing._sender import Sender
    from busbridge.telemetry.tracing import Tracing
    from busbridge.transport import Headers, Outcome

_log = logging.getLogger("busbridge.publishing")

_CONFIRMED: Final = Status.CONFIRMED
"""Looked up once: it is asked for each message."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries to publish a handler's consequences while a broker does not take them."""


class _Target(NamedTuple):
    sender: Sender
    destination: Destination
    routing_key: str
    encoder: Encoder
    headers: tuple[tuple[str, str], ...]
    """What the route adds, for subscriptions that match on headers."""


class _Exit(NamedTuple):
    """Everything about publishing one contract that is the same for all its messages."""

    writer: Writer
    targets: tuple[_Target, ...]


@final
class Publishing:
    """The publishing side of a bus: of the `contracts` that a service declared."""

    def __init__(
        self,
        service: str,
        contracts: Iterable[type[Contract]],
        config: Config,
        senders: Mapping[str, Sender],
        prefixes: Mapping[str, str],
        tracing: Tracing | None,
        observer: Observer | None,
    ) -> None:
        self.service = service
        self.postponing: Postponing | None = None
        """Where the service has a store."""
        self._tracing = tracing
        self._observer = observer
        self._exits = {each: _exit(each, service, config, senders, prefixes) for each in contracts}

    def reaches(self, destination: Destination) -> bool:
        """Whether a route of what the service publishes leads there."""
        return any(target.destination == destination for each in self._exits.values() for target in each.targets)

    def prepare(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        cause: Headers = (),
    ) -> Prepared:
        """Encodes a message for each of its destinations; nothing is sent.

        `cause`: the headers of the message being handled, whose trace goes on. Raises UndeclaredContract; TypeError for
        what is no message; InvalidEnvelope for a reserved header name or an empty id; pydantic's error where the
        message does not fit its own contract.
        """
        way = self._exits.get(type(message))
        if way is None:
            raise no_message(message) or self._undeclared(message)
        writer, targets = way
        body, key, time = writer.body(message), writer.key(message), timestamp()
        prepared = Prepared(type(message), body, new_id() if message_id is None else _given(message_id), [])
        extra = self._extra(headers, cause) if headers or cause else ()
        for sender, destination, routing_key, encoder, fixed in targets:
            written = encoder.headers(
                prepared.id,
                time,
                key=key,
                correlation_id=correlation_id,
                causation_id=causation_id,
                extra=(*fixed, *extra) if fixed else extra,
            )
            if self._tracing is not None:
                written += self._begin_span(self._tracing, prepared, sender, destination, correlation_id)
            prepared.entries.append((sender, Entry(destination, body, written, key, routing_key)))
        return prepared

    def _extra(self, headers: Mapping[str, str] | None, cause: Headers) -> tuple[tuple[str, str], ...]:
        """The headers beside the attributes: the user's, and the trace that goes on where nobody traces here."""
        added: tuple[tuple[str, str], ...] = ()
        if headers:
            check_headers(headers)
            added = tuple(headers.items())
        return (*added, *passed_on(cause)) if cause and self._tracing is None else added

    @staticmethod
    def _begin_span(
        tracing: Tracing, prepared: Prepared, sender: Sender, destination: Destination, correlation_id: str | None
    ) -> tuple[tuple[str, str], ...]:
        """The headers that carry the trace of this publish to this destination."""
        name = destination.physical
        span = tracing.begin_publish(sender.system, name, message_id=prepared.id, correlation_id=correlation_id)
        prepared.spans = {**(prepared.spans or {}), destination.name: span}
        return span.headers

    @staticmethod
    def abandon(prepared: Sequence[Prepared], error: BaseException) -> None:
        """What was prepared is not sent after all, or nobody waits for its outcome: its spans end as failed."""
        for each in prepared:
            for span in (each.spans or {}).values():
                span.end(error)

    def committed(self, prepared: Sequence[Prepared]) -> None:
        """It is in the outbox or among the timers, committed: from here on it is the relay's to publish."""
        for each in prepared:
            for span in (each.spans or {}).values():
                span.end(None)
        if self.postponing is not None and (later := [each for each in prepared if each.postponed]):
            self.postponing.committed(cast("list[Postponed]", later))
            prepared = [each for each in prepared if not each.postponed]
        if self._observer is not None:
            self._observer.publishing(prepared)

    async def send(self, prepared: Sequence[Prepared]) -> list[Undelivered]:
        """Publishes everything and returns what was not confirmed. Raises ClosedError."""
        if self._observer is not None:
            self._observer.publishing(prepared)
        try:
            flown = await _flown(prepared)
        except BaseException as error:
            self.abandon(prepared, error)
            raise
        failures = [failure for flight, outcomes in flown for failure in flight.failures(outcomes)]
        self._report(prepared, failures)
        return failures

    async def send_until_confirmed(self, prepared: Sequence[Prepared]) -> None:
        """Publishes a handler's consequences: again and again, with the same ids, while a broker can't take them.

        Raises PublishError as soon as a destination refuses one for good.
        """
        pause = _FIRST_PAUSE
        while failures := await self.send(prepared):
            if any(_is_final(each) for each in failures):
                raise PublishError(failures, prepared)
            _log.warning(
                "%s: what a handler published is not confirmed, trying again: %s", self.service, failures[0].error
            )
            prepared = missing(prepared, failures)
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _report(self, prepared: Sequence[Prepared], failures: Sequence[Undelivered]) -> None:
        if self._tracing is not None:
            errors = {(each.message_id, each.destination): each.error for each in failures}
            for each in prepared:
                for destination, span in (each.spans or {}).items():
                    span.end(errors.get((each.id, destination)))
        if failures and self._observer is not None:
            self._observer.undelivered(failures)

    def _undeclared(self, message: Contract) -> UndeclaredContract:
        def name(contract: type[Contract]) -> str:
            return contract.__contract__.ref if contract.__contract__ else contract.__name__

        return UndeclaredContract(self.service, name(type(message)), [name(each) for each in self._exits])


@final
class _Flight:
    """What goes through one sender together."""

    __slots__ = ("entries", "owners")

    def __init__(self) -> None:
        self.owners: list[Prepared] = []
        self.entries: list[Entry] = []

    def failures(self, outcomes: Sequence[Outcome]) -> list[Undelivered]:
        """What was not confirmed."""
        return [
            undelivered(self.owners[index], self.entries[index], outcome)
            for index, outcome in enumerate(outcomes)
            if outcome.status is not _CONFIRMED
        ]


async def _flown(prepared: Sequence[Prepared]) -> list[tuple[_Flight, Sequence[Outcome]]]:
    """Sends everything, through all senders at a time."""
    flights = _flights(prepared)
    if len(flights) == 1:  # the common case, for which gathering would cost more than sending
        ((sender, flight),) = flights.items()
        return [(flight, await sender.send(flight.entries))]
    outcomes = await asyncio.gather(*[sender.send(flight.entries) for sender, flight in flights.items()])
    return list(zip(flights.values(), outcomes, strict=True))


def _flights(prepared: Sequence[Prepared]) -> dict[Sender, _Flight]:
    flights: dict[Sender, _Flight] = {}
    for each in prepared:
        for sender, entry in each.entries:
            flight = flights.get(sender)
            if flight is None:
                flight = flights[sender] = _Flight()
            flight.owners.append(each)
            flight.entries.append(entry)
    return flights


def missing(prepared: Sequence[Prepared], failures: Sequence[Undelivered]) -> list[Prepared]:
    """Of `prepared` only the entries that `failures` lists, to be sent again with the same ids."""
    wanted = {(each.message_id, each.destination) for each in failures}
    reduced = (
        each.only([pair for pair in each.entries if (each.id, pair[1].destination.name) in wanted]) for each in prepared
    )
    return [each for each in reduced if each.entries]


def _is_final(failure: Undelivered) -> bool:
    return isinstance(failure.error, MessageRefused) and not failure.error.passes


def _given(message_id: str) -> str:
    """An id that the caller chose. Readers refuse an empty one; a new one would be another each time."""
    if not message_id:
        raise InvalidEnvelope("message_id is empty: give the message's own id, or None for a new one")
    return message_id


def _exit(
    contract: type[Contract],
    service: str,
    config: Config,
    senders: Mapping[str, Sender],
    prefixes: Mapping[str, str],
) -> _Exit:
    writer = Writer(contract)
    info = writer.info
    targets = tuple(
        _Target(
            senders[target.destination.transport],
            target.destination,
            target.routing_key,
            Encoder(info, prefix=prefixes[target.destination.transport], source=service, catalog=config.catalog),
            tuple(target.headers.items()),
        )
        for target in config.routes[info.name].targets
    )
    return _Exit(writer, targets)
