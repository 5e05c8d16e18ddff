"""Reading a stream without a subscription."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, final

from busbridge.contract import Contract, Registry, info_of
from busbridge.errors import (
    ClosedError,
    InvalidEnvelope,
    InvalidMessage,
    SourceEnded,
    UnknownVersion,
    UnreadableMessage,
)
from busbridge.runtime.handling._event import event_of, headers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from busbridge.contract import Reader
    from busbridge.envelope import Event
    from busbridge.routing import Destination
    from busbridge.transport import History, Kept, Position

C = TypeVar("C", bound=Contract)

Start: TypeAlias = "Literal['earliest', 'latest'] | int | datetime"
OnInvalid: TypeAlias = "Literal['raise', 'skip']"

_UNREADABLE: Final = (InvalidEnvelope, InvalidMessage, UnknownVersion)


@final
class StreamMessage(Generic[C]):
    """A message as it stands in a stream: the message itself, where and since when it stands there, who sent it."""

    __slots__ = ("_event", "_kept", "message")

    def __init__(self, message: C, event: Event, kept: Kept) -> None:
        self.message = message
        self._event = event
        self._kept = kept

    @property
    def id(self) -> str:
        """The message's id. With `source` it is unique; a message that was published twice stands there twice."""
        return self._event.id

    @property
    def source(self) -> str:
        """The service that published the message."""
        return self._event.source

    @property
    def key(self) -> str | None:
        """What decided its partition; None: nothing did."""
        key = self._kept.key
        return key.decode(errors="replace") if isinstance(key, bytes) else key

    @property
    def position(self) -> Position:
        """Partition and offset."""
        return self._kept.position

    @property
    def time(self) -> datetime:
        """When the stream took it, in UTC: what a `start` or `until` in time means."""
        return datetime.fromtimestamp(self._kept.time, UTC)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers beside the CloudEvents attributes, the last of repeated ones; bytes read as UTF-8."""
        return headers_of(self._event)

    def __repr__(self) -> str:
        return f"<StreamMessage {self.id!r} at {self.position.partition}:{self.position.offset}>"


@final
class Reading(Generic[C]):
    """What is told from what a stream keeps: messages of one contract, and everything else counted."""

    def __init__(self, destination: Destination, contract: type[C], registry: Registry, on_invalid: OnInvalid) -> None:
        self.destination = destination
        self.skipped = self.invalid = 0
        self._info = info_of(contract)
        self._registry = registry
        self._skip = on_invalid == "skip"
        self._readers: dict[tuple[int | None, int | None], Reader] = {}

    def read(self, kept: Kept) -> StreamMessage[C] | None:
        """The message; None for one that is passed over. Raises UnreadableMessage."""
        try:
            event = event_of(kept, self.destination)
            if event.type != self._info.name:
                self.skipped += 1
                return None
            return StreamMessage(self._message(event), event, kept)
        except _UNREADABLE as error:
            self.invalid += 1
            if self._skip:
                return None
            raise UnreadableMessage(self.destination.name, *kept.position, str(error)) from error

    def _message(self, event: Event) -> C:
        if event.data is None:
            raise InvalidMessage("the message has no body")
        versions = event.version, event.readable_by
        if (reader := self._readers.get(versions)) is None:
            info = self._info
            reader = self._readers[versions] = self._registry.reader(info.name, *versions, (info.version,))
        return cast("C", reader.read(event.data))


@final
class StreamReader(Generic[C]):
    """Messages of one contract in a stream, each partition in its order: `async for each in bus.read(...)`.

    Nothing happens before the first one is asked for: then it is worked out where reading begins and ends, for each
    partition that is there then. It fetches as messages are taken, and holds no more than a batch. For one task.

    A wait that is cancelled loses nothing: ask again. An error ends the reading. It is over, and leaves no thread or
    connection, at its end, by `aclose` or `async with`, when nobody holds it any more, and when the bus closes.
    """

    def __init__(self, begin: Callable[[], Awaitable[History]], reading: Reading[C]) -> None:
        self._begin = begin
        self._reading = reading
        self._history: History | None = None
        self._kept: deque[Kept] = deque()
        self._handed = 0
        self._failure: UnreadableMessage | None = None
        self._state = "new"

    @property
    def read(self) -> int:
        """Messages handed over so far."""
        return self._handed

    @property
    def skipped(self) -> int:
        """Messages of other contracts, passed over so far."""
        return self._reading.skipped

    @property
    def invalid(self) -> int:
        """Messages of this contract, or of none that can be told, that could not be read so far."""
        return self._reading.invalid

    @property
    def remaining(self) -> int | None:
        """How many may still come before the end: 0 at the end, never too few.

        Offsets are counted, and some hold nothing: compacted away, or written by a transaction. None before the first
        message was asked for, and where there is no end.
        """
        left = self._history.remaining if self._history else None
        return None if left is None else left + len(self._kept)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamMessage[C]:
        """The next message. Raises what `Bus.read` says."""
        while (found := self._next()) is None:
            await self._fetch()
        return found

    async def take(self) -> list[StreamMessage[C]]:
        """At least one message and all that are there besides; none at the end. Raises as iterating does."""
        try:
            found = [await anext(self)]
        except StopAsyncIteration:
            return []
        try:
            while (more := self._next()) is not None:
                found.append(more)
        except UnreadableMessage as error:  # it comes after those before it
            self._failure = error
        return found

    def _next(self) -> StreamMessage[C] | None:
        """The next message of what was fetched."""
        if self._failure is not None:
            self._end("failed")
            raise self._failure
        try:
            while self._kept:
                if (found := self._reading.read(self._kept.popleft())) is not None:
                    self._handed += 1
                    return found
        except UnreadableMessage:
            self._end("failed")
            raise
        return None

    async def _fetch(self) -> None:
        if self._state == "read":
            raise StopAsyncIteration
        if self._state not in ("new", "open"):
            raise ClosedError(repr(self))
        try:
            if self._history is None:
                self._history, self._state = await self._begin(), "open"
            self._kept.extend(await self._history.receive())
        except SourceEnded:
            self._end("read")
            raise StopAsyncIteration from None
        except Exception:
            self._end("failed")
            raise

    def _end(self, state: str) -> None:
        self._state = state
        self._kept.clear()
        if self._history is not None:
            self._history.abandon()

    async def aclose(self) -> None:
        """Ends the reading and waits until nothing of it is left. Twice is fine; asking for more is a ClosedError."""
        self._end("closed")
        if self._history is not None:
            await self._history.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        """Left by `break`, by an error or by being cancelled: nobody can ask for more."""
        if (history := getattr(self, "_history", None)) is not None:
            history.abandon()

    def __repr__(self) -> str:
        name = self._reading.destination.name
        return f"<StreamReader of {name!r}, {self._state}, read {self._handed}, remaining {self.remaining}>"


def registry_with(contracts: tuple[type[Contract], ...], contract: type[Any]) -> Registry:
    """What a service knows, and a contract that it may know only for reading. Raises ConfigurationError."""
    return Registry(dict.fromkeys([*contracts, contract]))
