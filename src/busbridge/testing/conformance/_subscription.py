"""A subscription under test: its plan, its ledger, its members."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, cast, final

from busbridge.testing.conformance._checks import judge
from busbridge.testing.conformance._ledger import Ledger
from busbridge.testing.conformance._row import RowFailed
from busbridge.testing.conformance._worker import Worker, accept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.routing import SubscriptionPlan, TransportSettings
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._checks import Verdict
    from busbridge.testing.conformance._worker import Treat
    from busbridge.transport import Delaying, Redrivable

_SHOWN: Final = 5


@final
class _Shared:
    """A client of several members: the bench closes it."""

    async def close(self) -> None:
        """Not yet."""


@final
class Subscription:
    """Made by `Bench.subscription`. Each worker is a member with a client of its own."""

    def __init__(self, bench: Bench, plan: SubscriptionPlan) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.workers: list[Worker] = []
        self._bench = bench
        self._names = count(1)

    async def worker(self, treat: Treat = accept, settings: TransportSettings | None = None) -> Worker:
        """A new member, which reads from now on; its client is one of these settings, or the rig's."""
        client = await self._bench.client(settings)
        source = await client.subscribe(self.plan)
        worker = Worker(f"member-{next(self._names)}", client, source, self.ledger, treat, self._bench.rig.patience)
        self.workers.append(worker)
        return worker

    async def workers_of_all(self, treat: Treat) -> None:
        """A new member, and what it takes beside its source: messages that come back from waiting."""
        await self.worker(treat)
        client = await self._bench.client()
        for source in await cast("Delaying", client).returning(self.plan):
            name = f"member-{next(self._names)}"
            self.workers.append(Worker(name, _Shared(), source, self.ledger, treat, self._bench.rig.patience))

    async def workers_with_redriven(self, treat: Treat) -> None:
        """A new member, and what is redriven to it, where that does not come by its source."""
        await self.worker(treat)
        client = await self._bench.client()
        source = await cast("Redrivable", client).redriven(self.plan)
        if source is not None:
            name = f"member-{next(self._names)}"
            self.workers.append(Worker(name, _Shared(), source, self.ledger, treat, self._bench.rig.patience))

    async def stop(self) -> None:
        """Stops every member, each gracefully."""
        while self.workers:
            await self.workers[-1].stop()
            self.workers.pop()

    async def complete(self) -> None:
        """Waits until everything confirmed was delivered; raises RowFailed when it does not come."""
        await self.ledger.until(lambda: not self.ledger.missing or self._failed(), self._bench.rig.patience)
        for worker in self.workers:
            worker.check()
        if missing := self.ledger.missing:
            raise RowFailed(f"{len(missing)} confirmed messages did not arrive: {_some(missing)}")

    def _failed(self) -> bool:
        return bool(self.workers) and all(each.ended for each in self.workers)

    async def drain(self) -> None:
        """Stops all members and has a fresh client read until marks published behind everything have arrived."""
        await self.stop()
        await self.worker()
        await self.marked(await self._bench.publish_marks(self.plan.destination))
        await self.complete()
        await self.stop()

    async def marked(self, marks: set[str]) -> None:
        """Waits until these marks have arrived, and with them all that was published before."""
        patience = self._bench.rig.patience
        if not await self.ledger.until(lambda: marks <= self.ledger.marks, patience):
            raise RowFailed(f"what was published last did not arrive in {patience:g} s")

    async def judge(self, *, extra: int | None = 0) -> Verdict:
        """Waits for everything, drains, judges. `extra`: deliveries beyond one per message that may be; None: any."""
        if self.workers:
            await self.complete()
        await self.drain()
        verdict = judge(self.ledger.events)
        if verdict.lost or verdict.unexpected or verdict.ghost:
            found = verdict.lost | verdict.unexpected | verdict.ghost
            raise RowFailed(f"{verdict}: {_some(found)}")
        if extra is not None and verdict.duplicates > extra:
            raise RowFailed(f"{verdict}, and {extra} extra are allowed: {_some(verdict.extra)}")
        return verdict


def _some(ids: Iterable[str]) -> str:
    listed = sorted(ids)
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
