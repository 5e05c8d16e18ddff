"""What is redriven to a subscription, in the process that handles it: no consumer before there is something."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaException

from busbridge.errors import ClosedError, SourceEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busbridge.transport import Delivery, Finished
    from busbridge_kafka._admin import Admin
    from busbridge_kafka._source import KafkaSource
    from busbridge_kafka._transactional_source import KafkaTransactionalSource

_log: Final = logging.getLogger("busbridge.kafka")

LOOK: Final = 3.0
"""Seconds between two looks for the first redrive of any subscription here."""


@final
class Lookout:
    """Waits for Kafka topics that may never exist, all of a process in one question to the broker."""

    def __init__(self, admin: Callable[[], Admin], every: float = LOOK) -> None:
        self._admin = admin
        self._every = every
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._told = False

    def wait_for(self, name: str) -> asyncio.Future[None]:
        """Done when the Kafka topic exists."""
        if name not in self._awaited:
            self._awaited[name] = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="busbridge looking for redrives")
        return self._awaited[name]

    async def close(self) -> None:
        """Looks no more. Twice is fine."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        with self._admin() as admin:
            while self._awaited:
                await self._look_once(admin)
                await asyncio.sleep(self._every)
        self._looking = None

    async def _look_once(self, admin: Admin) -> None:
        try:
            there = await admin.shapes(list(self._awaited))
        except (KafkaException, TimeoutError) as error:
            if not self._told:
                self._told = True
                _log.warning("can't see whether something was redriven, and look again: %s", error)
            return
        self._told = False
        for name in there:
            self._awaited.pop(name).set_result(None)


@final
class RedrivenSource:
    """A `Source` that is another one as soon as something was redriven for the first time."""

    def __init__(self, name: str, lookout: Lookout, make: Callable[[], KafkaSource | KafkaTransactionalSource]) -> None:
        self._name = name
        self._lookout = lookout
        self._make = make
        self._source: KafkaSource | KafkaTransactionalSource | None = None
        self._draining = self._closed = False
        self._stir = asyncio.Event()

    async def receive(self) -> Sequence[Delivery]:
        """See `Source.receive`."""
        while self._source is None:
            if self._closed:
                raise ClosedError(repr(self))
            if self._draining:
                raise SourceEnded(repr(self))
            await self._begin()
        return await self._source.receive()

    async def _begin(self) -> None:
        """Returns when there is something, or when nothing more is wanted."""
        exists = self._lookout.wait_for(self._name)
        exists.add_done_callback(self._stirred)
        await self._stir.wait()
        if self._draining or self._closed:
            return
        source = self._make()
        await source.start()
        self._source = source
        if self._draining:
            source.drain()

    def _stirred(self, _: object) -> None:
        self._stir.set()

    def drain(self) -> None:
        """See `Source.drain`."""
        self._draining = True
        self._stir.set()
        if self._source is not None:
            self._source.drain()

    async def flush(self, seconds: float) -> bool:
        """See `Source.flush`."""
        return self._source is None or await self._source.flush(seconds)

    async def close(self) -> None:
        """See `Source.close`."""
        self._closed = True
        self._stir.set()
        if self._source is not None:
            await self._source.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "draining" if self._draining else "waiting"
        return repr(self._source) if self._source else f"<RedrivenSource of {self._name}, {state}>"


@final
class RedrivenTransactionalSource:
    """The same for a subscription that is `exactly_once`."""

    def __init__(self, name: str, lookout: Lookout, make: Callable[[], KafkaTransactionalSource]) -> None:
        self._make = make
        self._made: KafkaTransactionalSource | None = None
        self._source = RedrivenSource(name, lookout, self._begun)
        self.receive = self._source.receive
        self.drain = self._source.drain
        self.flush = self._source.flush
        self.close = self._source.close

    def _begun(self) -> KafkaTransactionalSource:
        self._made = self._make()
        return self._made

    async def commit(self, finished: Sequence[Finished]) -> None:
        """See `TransactionalSource.commit`."""
        assert self._made is not None  # what was finished came from it
        await self._made.commit(finished)

    def __repr__(self) -> str:
        return repr(self._source)
