"""The streams that an open bus can read: those of its transports, and of transports that it opens for this alone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from busbridge.contract import Contract
from busbridge.errors import ClosedError, ConfigurationError, Fault
from busbridge.routing import Kind, StartAt
from busbridge.runtime.replays._read import Reading, StreamReader, registry_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busbridge.routing import Config, Destination
    from busbridge.runtime._service import Service
    from busbridge.runtime._transports import Transports
    from busbridge.runtime.replays._read import OnInvalid, Start
    from busbridge.transport import History, Replayable, Transport, Until

C = TypeVar("C", bound=Contract)


@final
class Streams:
    """Makes readers for the bus of a service. A reader ends, too, when its transport closes."""

    def __init__(
        self, service: Service[Any], config: Config, transports: Transports, opened: Mapping[str, Transport]
    ) -> None:
        """`opened`: the transports that the bus has anyhow, and closes."""
        self._service = service
        self._config = config
        self._transports = transports
        self._opened = dict(opened)
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._closed = False

    def reader(
        self, destination: str, contract: type[C], start: Start, until: Until, on_invalid: OnInvalid
    ) -> StreamReader[C]:
        """A reader that has not begun. Raises ConfigurationError, ValueError."""
        stream = stream_of(destination, self._config, self._transports)
        reading = Reading(stream, contract, registry_with(self._service.contracts, contract), on_invalid)
        return StreamReader(partial(self._begin, stream, start_of(start), until_of(until)), reading)

    async def close(self) -> None:
        """Closes the transports that were opened for reading."""
        self._closed = True
        await self._stack.aclose()

    async def _begin(self, stream: Destination, start: StartAt, until: Until) -> History:
        async with self._opening:
            if stream.transport not in self._opened:
                self._opened[stream.transport] = await self._open(stream.transport)
        return await cast("Replayable", self._opened[stream.transport]).read(stream, start, until)

    async def _open(self, name: str) -> Transport:
        async with AsyncExitStack() as stack:
            transport = self._transports.make(self._config.transports[name])
            stack.push_async_callback(transport.close)
            await transport.open()
            await transport.provision(self._config.topology(name))
            if self._closed:
                raise ClosedError(f"the bus of {self._service.name!r}")
            self._stack.push_async_exit(stack.pop_all())
        return transport


def stream_of(name: str, config: Config, transports: Transports) -> Destination:
    """A destination that can be read. Raises ConfigurationError."""
    destination = config.destinations.get(name)
    if destination is None:
        raise _refused(f"there is no destination {name!r}", config, (), _near(name, config.destinations))
    if destination.kind is not Kind.STREAM:
        problem = f"{name!r} can't be read: it is a {destination.kind}, and only a stream keeps its messages"
        raise _refused(problem, config, (name,))
    if not transports.find(config.transports[destination.transport]).capabilities.replayable:
        problem = f"{name!r} can't be read: transport {destination.transport!r} does not offer it"
        raise _refused(problem, config, (name,))
    return destination


def _refused(problem: str, config: Config, path: tuple[str, ...], hint: str | None = None) -> ConfigurationError:
    return ConfigurationError([Fault(problem, config.locate(("destinations", *path)), hint)])


def _near(name: str, known: Mapping[str, object]) -> str | None:
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None


def start_of(start: object) -> StartAt:
    """Where reading starts. Raises ValueError."""
    if isinstance(start, datetime):
        return StartAt(_aware(start))
    if start in ("earliest", "latest") or (isinstance(start, int) and not isinstance(start, bool) and start >= 0):
        return StartAt(start)
    raise ValueError(f"reading starts at 'earliest', 'latest', an offset or a time, not at {start!r}")


def until_of(until: object) -> Until:
    """Where reading ends. Raises ValueError."""
    if until is None or until == "now":
        return cast("Until", until)
    if isinstance(until, datetime):
        return _aware(until)
    raise ValueError(f"reading ends at 'now', before a time or never (None), not at {until!r}")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} needs its offset from UTC: datetime(..., tzinfo=UTC)")
    return moment
