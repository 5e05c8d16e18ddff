"""Transactions in memory: what is published and what is settled happens in one step, or nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.errors import StaleDelivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.memory._broker import MemoryBroker
    from busbridge.memory._source import MemorySource
    from busbridge.transport import Delivery, Finished


@final
class MemoryTransactionalSource:
    """A source of a stream, with the broker that it commits to."""

    def __init__(self, source: MemorySource, broker: MemoryBroker) -> None:
        self._broker = broker
        self.source = source
        self.drain = source.drain
        self.flush = source.flush
        self.close = source.close

    async def receive(self) -> Sequence[Delivery]:
        """As `Source.receive`."""
        return await self.source.receive()

    async def commit(self, finished: Sequence[Finished]) -> None:
        """As `TransactionalSource.commit`. Nothing is awaited: nobody sees a part of it."""
        self._check(finished)
        for delivery, entries, record in finished:
            for entry in entries:
                self._broker.publish(entry)
            if record is None:
                delivery.accept()
            else:
                delivery.reject(record)

    def _check(self, finished: Sequence[Finished]) -> None:
        for delivery, entries, _ in finished:
            if not delivery.session.alive:
                raise StaleDelivery(repr(delivery))
            for entry in entries:
                if (refused := self._broker.refusal(entry)) is not None:
                    raise refused

    def __repr__(self) -> str:
        return f"<MemoryTransactionalSource, {self.source!r}>"
