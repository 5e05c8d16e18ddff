"""One member at work: takes deliveries from a source, writes down each, and treats it as the row says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from busbridge.errors import ClosedError, SourceEnded, StaleDelivery
from busbridge.testing.conformance._ledger import What
from busbridge.testing.conformance._message import is_mark, key_of, message_id_of
from busbridge.testing.conformance._row import RowFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbridge.testing.conformance._ledger import Ledger
    from busbridge.transport import Delivery, Headers, Source

    Treat: TypeAlias = "Callable[[Worker, Delivery], object]"


class Client(Protocol):
    """What a member leaves when it ends."""

    async def close(self) -> None: ...


def accept(worker: Worker, delivery: Delivery) -> None:
    """Treats a delivery by accepting it at once."""
    worker.accept(delivery)


def hold(worker: Worker, delivery: Delivery) -> None:
    """Treats a delivery by keeping it in `worker.held`, unsettled."""
    worker.held.append(delivery)


def slowly(seconds: float) -> Treat:
    """Treats a delivery by accepting it after a while; any number at once."""

    def treat(worker: Worker, delivery: Delivery) -> None:
        asyncio.get_running_loop().call_later(seconds, worker.accept, delivery)

    return treat


@final
class Worker:
    """Reads until stopped. What stopped it unasked is raised by `stop` and by `check`."""

    def __init__(
        self, name: str, client: Client, source: Source, ledger: Ledger, treat: Treat, patience: float
    ) -> None:
        self.name = name
        self._client = client
        self.source = source
        self.held: list[Delivery] = []
        self.open = 0
        self._left = False
        self._ledger = ledger
        self._treat = treat
        self._patience = patience
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(lambda _: ledger.touch())

    async def _read(self) -> None:
        try:
            while True:
                for delivery in await self.source.receive():
                    self._take(delivery)
        except (SourceEnded, ClosedError):
            return

    def _take(self, delivery: Delivery) -> None:
        if not delivery.session.taking:
            delivery.release()
            return
        message_id = message_id_of(delivery)
        if is_mark(message_id):
            delivery.accept()
            self._ledger.mark(message_id)
            return
        self.open += 1
        self._ledger.delivered(message_id, key_of(delivery), self.name, delivery)
        self._treat(self, delivery)

    def become_accepting(self) -> None:
        """Accepts what it holds, and from now on everything at once."""
        self._treat = accept
        held, self.held = self.held, []
        for delivery in held:
            self.accept(delivery)

    def accept(self, delivery: Delivery) -> None:
        """Accepts, and writes down that it did, or that the delivery was stale."""
        self._settle(delivery, delivery.accept)

    def retry(self, delivery: Delivery) -> None:
        """Asks for another attempt."""
        self._settle(delivery, delivery.retry)

    def reject(self, delivery: Delivery, record: Headers) -> None:
        """Sends it to the dead letters."""
        self._settle(delivery, lambda: delivery.reject(record))

    def release(self, delivery: Delivery) -> None:
        """Gives up the delivery without settling it."""
        delivery.release()
        self.done(delivery, What.RELEASED)

    def _settle(self, delivery: Delivery, settle: Callable[[], bool]) -> None:
        what = What.SETTLED
        try:
            settle()
        except StaleDelivery:
            what = What.STALE
        self.done(delivery, what)

    def done(self, delivery: Delivery, what: What = What.SETTLED) -> None:
        """Writes down how a delivery ended that the row itself settled."""
        self.open -= 1
        self._ledger.closed(what, message_id_of(delivery), self.name, delivery)

    @property
    def ended(self) -> bool:
        """True if it reads no more."""
        return self._task.done()

    def check(self) -> None:
        """Raises what stopped it, if something did."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def stop(self) -> None:
        """Leaves as a service that stops does: drains, finishes what it has begun, flushes, closes. Twice is fine."""
        if self._left:
            return
        self.source.drain()
        done, _ = await asyncio.wait({self._task}, timeout=self._patience)
        if not done:
            self._task.cancel()
            raise RowFailed(f"{self.name}: draining did not end in {self._patience:g} s")
        self._task.result()
        if not await self._ledger.until(lambda: not self.open, self._patience):
            raise RowFailed(f"{self.name}: {self.open} deliveries were not settled when it stopped")
        if not await self.source.flush(self._patience):
            raise RowFailed(f"{self.name}: settlements were not with the broker in {self._patience:g} s")
        await self.leave()

    async def leave(self) -> None:
        """Leaves at once: what is not settled goes back. Twice is fine."""
        self._left = True
        await self.source.close()
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._client.close()
