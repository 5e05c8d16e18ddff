"""What happens to deliveries of a subscription that is `exactly_once`: handled as any other, committed in transactions.

Handlers run outside of any transaction, so that none is open for long: what they publish, and how their deliveries
ended, is kept until everything before it in its partition has ended as well, and is then committed together. A process
that dies before has published nothing; the messages come again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, final

from busbridge.errors import MessageRefused, SourceEnded, StaleDelivery, TransactionAborted
from busbridge.outbox import Outage, reached
from busbridge.runtime.exactly_once._held import Held, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.runtime.handling._handling import Handling
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.runtime.publishing._outcomes import Undelivered
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing
    from busbridge.transport import Delivery, Session, TransactionalSource

_log: Final = logging.getLogger("busbridge.handling")

INTERVAL: Final = 0.05
"""Seconds from one transaction to the next, at least, while handlers are at work and not enough is finished."""
ENOUGH: Final = 1_000
"""Deliveries in one transaction, at most."""

_FEWEST: Final = 2
"""Of a record: why, and which. All that is added to a message that would be too large to be dead otherwise."""


@final
class Exactly:
    """The source of one subscription, as its lanes see it."""

    def __init__(
        self,
        source: TransactionalSource,
        plan: SubscriptionPlan,
        publishing: Publishing,
        observer: Observer | None,
    ) -> None:
        self._source = source
        self._plan = plan
        self._publishing = publishing
        self._observer = observer
        self._lines: dict[Session, Line] = {}
        self._working = 0
        """Handed over, and neither finished nor given back."""
        self._finished = 0
        """Finished, and neither committed nor given back."""
        self._due, self._enough, self._clean = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._clean.set()
        self._began = 0.0
        self._leaving = False
        self._broker = Outage(_log, f"{plan.group} can't commit what it handled")
        self._committing: asyncio.Task[None] | None = None
        self._handling: Handling

    def start(self, handling: Handling) -> None:
        """From now on what `handling`, which has this as its observer, has finished is committed."""
        self._handling = handling
        self._committing = asyncio.create_task(self._commit_on(), name=f"busbridge transactions of {self._plan.group}")
        self._committing.add_done_callback(lambda _: self._source.drain())

    async def receive(self) -> Sequence[Delivery]:
        """See `Source.receive`. Raises what made it impossible to commit."""
        try:
            deliveries = await self._source.receive()
        except SourceEnded:
            if self._committing is not None and self._committing.done() and not self._committing.cancelled():
                self._committing.result()
            raise
        return [held for each in deliveries if not (held := self._hold(each)).doomed]

    def drain(self) -> None:
        """See `Source.drain`."""
        self._source.drain()

    async def flush(self, seconds: float) -> bool:
        """See `Source.flush`: until everything finished is committed."""
        self._leaving = True
        self._enough.set()
        if self._committing is None or self._committing.done():
            return not self._finished
        try:
            async with asyncio.timeout(seconds):
                await self._clean.wait()
        except TimeoutError:
            return False
        return await self._source.flush(seconds)

    async def close(self) -> None:
        """See `Source.close`. What is not committed is given back."""
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)
        for line in self._lines.values():
            self._abandon(line, None)
        await self._source.close()

    def enclose(self, delivery: Delivery, outgoing: Sequence[Prepared], attempt: int) -> None:
        """Keeps what the handler of a delivery has published, for its transaction."""
        assert isinstance(delivery, Held)
        delivery.outgoing, delivery.attempts = outgoing, attempt

    def parked(self, message_id: str, destination: str, error: BaseException | None) -> None:
        """As `Observer.parked`: what goes out in the transaction is in no outbox."""

    def ended(self, plan: SubscriptionPlan, delivery: Delivery, fate: str, error: BaseException | None) -> None:
        """As an observer of the pipeline: it is told when it is true, which is when it was committed."""
        if isinstance(delivery, Held) and delivery.settlement is not None:
            delivery.fate, delivery.error = fate, error
        elif self._observer is not None:
            self._observer.ended(plan, delivery, fate, error)

    def publishing(self, prepared: Sequence[Prepared]) -> None:
        """As an observer: nothing is published but in transactions."""

    def undelivered(self, failures: Sequence[Undelivered]) -> None:
        """As `publishing`."""

    def finished(self, held: Held) -> None:
        """As a keeper: its handling has ended."""
        self._working -= 1
        if held.doomed:
            self._give_back(held, None)
            return
        self._finished += 1
        self._clean.clear()
        self._due.set()
        if not self._working or self._finished >= ENOUGH:
            self._enough.set()

    def released(self, held: Held) -> None:
        """As a keeper: it comes again, and so does everything behind it."""
        self._working -= 1
        held.delivery.release()
        if not held.doomed:
            self._take_out(held.line.leave(held), None)

    def _hold(self, delivery: Delivery) -> Held:
        line = self._lines.get(delivery.session)
        if line is None:
            self._forget()
            line = self._lines[delivery.session] = Line()
        held = Held(delivery, line, self)
        if line.cut:
            held.doomed = True
            delivery.release()
        else:
            line.held.append(held)
            self._working += 1
        return held

    def _forget(self) -> None:
        """Lines of sessions that have ended, which is rare."""
        self._lines = {session: line for session, line in self._lines.items() if session.alive or line.held}

    async def _commit_on(self) -> None:
        while True:
            await self._due.wait()
            await self._company()
            self._due.clear()
            self._began = asyncio.get_running_loop().time()
            heads = chain.from_iterable(line.head() for line in self._lines.values())
            if batch := list(islice(heads, ENOUGH)):
                await self._commit(batch)
            if len(batch) == ENOUGH:
                self._due.set()

    async def _company(self) -> None:
        """Waits for others that can go along, as long as there is something to wait for."""
        self._enough.clear()
        if not self._working or self._finished >= ENOUGH or self._leaving:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._began + INTERVAL):
                await self._enough.wait()

    async def _commit(self, batch: Sequence[Held]) -> None:
        """Commits all of them together, or one by one where that is refused, but for those whose session has ended."""
        while going := [held for held in batch if self._is_alive(held)]:
            try:
                reached("before_commit")
                await self._source.commit([held.result() for held in going])
            except StaleDelivery:
                await asyncio.sleep(0)  # `_is_alive` tells whose
            except MessageRefused as error:
                if len(going) > 1:
                    for held in going:
                        await self._commit([held])
                    return
                await self._without_effect(going[0], error)
            except TransactionAborted as error:
                await asyncio.sleep(self._broker.failed(error))
            else:
                reached("after_commit")
                self._broker.over()
                self._committed(going)
                return

    async def _without_effect(self, held: Held, error: MessageRefused) -> None:
        """What it publishes is refused: it is to be a dead letter, a short one where that is refused too."""
        if held.record is None:
            self._bury(held, error)
        else:
            _log.error("%s: %r can't become a dead letter, and is kept: %s", self._plan.group, held, error)
            held.record = held.record[:_FEWEST]
            await asyncio.sleep(self._broker.failed(error))

    def _bury(self, held: Held, error: MessageRefused) -> None:
        self._publishing.abandon(held.outgoing, error)
        held.reopen()
        self._working, self._finished = self._working + 1, self._finished - 1
        self._handling.refused(held, error, held.attempts)

    def _is_alive(self, held: Held) -> bool:
        if not held.doomed and not held.session.alive:
            self._abandon(held.line, StaleDelivery(repr(held)))
        return not held.doomed

    def _abandon(self, line: Line, error: BaseException | None) -> None:
        """Nothing of a session can be committed any more."""
        if line.held:
            first = line.held[0]
            self._take_out([first, *line.leave(first)], error)

    def _take_out(self, doomed: Iterable[Held], error: BaseException | None) -> None:
        for held in doomed:
            if held.settlement is not None:
                self._count_out()
                self._give_back(held, error)

    def _give_back(self, held: Held, error: BaseException | None) -> None:
        self._publishing.abandon(held.outgoing, error or StaleDelivery(repr(held)))
        held.delivery.release()
        self._handling.counts.released += 1
        self._tell(held, "released", error)

    def _committed(self, batch: Sequence[Held]) -> None:
        for held in batch:
            held.line.held.popleft()
            self._count_out()
            self._publishing.committed(held.outgoing)
            self._tell(held, held.fate, held.error)

    def _tell(self, held: Held, fate: str, error: BaseException | None) -> None:
        if self._observer is not None:
            self._observer.ended(self._plan, held, fate, error)

    def _count_out(self) -> None:
        self._finished -= 1
        if not self._finished:
            self._clean.set()

    def __repr__(self) -> str:
        return f"<Exactly of {self._plan.group!r}, working {self._working}, finished {self._finished}>"
