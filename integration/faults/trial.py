"""Orders are published and handled by a crew of processes, whatever happens meanwhile; then the books are checked."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, final

from busbridge import Bus, Context, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, PublishError, remove
from busbridge.transport import Status
from integration.brokers import Kafka
from integration.effects.child import Job
from integration.effects.contracts import Booked, Ordered
from integration.effects.inputs import PARTITIONS, unread
from integration.faults.crew import Crew
from integration.faults.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.brokers import RabbitMQ
    from integration.effects.databases import PostgreSQLDatabase, SQLiteFile

PROGRESS_SECONDS = 90
"""How long nothing may come of anything."""
_COPY_EVERY = 6
"""One order of so many is published twice."""
_PREFETCH = 100
"""So many messages are handled one by one after each death, since one of them may have been the cause."""
_SHORT_SESSION = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}
"""As short as Kafka allows: only after it are the partitions of a process that was killed another's."""


@final
class Trial:
    """Entered, it has a publisher, who also hears of bookings, and a crew; under names of its own.

    `node` is any node of the broker that `url` names.
    """

    def __init__(
        self,
        node: Kafka | RabbitMQ,
        url: str,
        database: PostgreSQLDatabase | SQLiteFile,
        folder: Path,
        *,
        workers: int = 2,
        replication: int = 1,
        batch: int = 20,
    ) -> None:
        self.ledger = Ledger()
        self._node = node
        self._database = database
        run = uuid.uuid4().hex[:8]
        self._run, self._shop, self._worker = run, f"shop-{run}", f"worker-{run}"
        self._orders = f"faults-{run}.orders"
        self._config = self._configuration(url, replication, batch)
        self._calls = folder / "calls"
        self.crew = Crew(Job(self._worker, self._config, str(self._calls)), folder, workers)
        self._stack = AsyncExitStack()
        self._bus: Bus[None]

    def _configuration(self, url: str, replication: int, batch: int) -> dict[str, Any]:
        stream = isinstance(self._node, Kafka)
        kind = {"kind": "stream", "partitions": PARTITIONS, "replication": replication} if stream else {"kind": "queue"}
        place = {**kind, "transport": "broker"}
        return {
            "transports": {"broker": {"url": url, "client": _SHORT_SESSION if stream else {"heartbeat": 5}}},
            "destinations": {
                "orders": {**place, "name": self._orders},
                "bookings": {**place, "name": f"faults-{self._run}.bookings"},
            },
            "routes": {"effects.ordered": {"to": "orders"}, "effects.booked": {"to": "bookings"}},
            "services": {
                self._shop: {"subscriptions": {"audit": {"from": "bookings"}}},
                self._worker: {
                    "store": {"url": self._database.url, "upgrade": True, "batch": batch},
                    "subscriptions": {"work": {"from": "orders", "concurrency": 4, "prefetch": _PREFETCH}},
                },
            },
            "publish": {"timeout": "10s"},
            "stop": {"grace": "10s"},
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._database.create()
            stack.push_async_callback(self._database.remove)
            stack.push_async_callback(remove, load(self._config), InstalledTransports(), ["broker"])
            self._bus = await stack.enter_async_context(Bus(self._publisher(), self._config))
            await stack.enter_async_context(self.crew)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.__aexit__(*exception)

    def _publisher(self) -> Service[None]:
        shop = Service(self._shop, publishes=[Ordered])

        @shop.subscription("audit").handles(Booked)
        async def audit(booked: Booked, context: Context) -> None:
            self.ledger.hear(booked.order_id, context.message_id)

        return shop

    async def publish(self, numbers: range, *, insist: bool = False) -> None:
        """Publishes one order for each number, one of six twice; returns when each was confirmed, refused or unknown.

        One in two that is unknown, and each of them if `insist`, is published again until it is known.
        """
        await asyncio.gather(*(self._publish(number, insist=insist or number % 2 == 0) for number in numbers))

    async def _publish(self, number: int, *, insist: bool) -> None:
        order = Ordered(order_id=f"{number:07}")
        self.ledger.begin(order.order_id)
        copies = 2 if number % _COPY_EVERY == 0 else 1
        outcomes = [await self._outcome(order, insist=insist) for _ in range(copies)]
        self.ledger.end(order.order_id, min(outcomes, key=_BEST.index))

    async def _outcome(self, order: Ordered, *, insist: bool) -> Status:
        while True:
            try:
                await self._bus.publish(order, message_id=f"id-{order.order_id}")
            except PublishError as error:
                status = error.outcomes[0].status
            else:
                return Status.CONFIRMED
            if status is Status.REFUSED or not insist:
                return status

    async def settle(self) -> None:
        """Returns when everything that was confirmed is booked, nothing waits, and the crew has stopped.

        Raises AssertionError if a worker ends by itself, or if nothing more happens before that.
        """
        await self._progressing(lambda: not self.ledger.owed)
        while await self._unread() or await self._waiting():
            self.crew.check()
            await asyncio.sleep(0.5)
        await self._progressing(lambda: not self.ledger.owed)
        await self.crew.stop()

    async def _progressing(self, holds: Callable[[], bool]) -> None:
        seen, since = -1, time.monotonic()
        while not holds():
            self.crew.check()
            if self.ledger.heard != seen:
                seen, since = self.ledger.heard, time.monotonic()
            if time.monotonic() - since > PROGRESS_SECONDS:
                return
            await asyncio.sleep(0.2)

    async def _unread(self) -> int:
        return await asyncio.to_thread(unread, self._node, self._orders, f"{self._worker}.work")

    async def _waiting(self) -> bool:
        """Whether something waits in the database."""
        tables = ("busbridge_outbox", "busbridge_timers")
        return any([await self._database.column(f"SELECT id FROM {table} LIMIT 1") for table in tables])

    async def check(self, name: str) -> str:
        """What the books say, in one line. Raises AssertionError, with the file of the ledger, if they are wrong."""
        effects = Counter(await self._database.column("SELECT order_id FROM effects"))
        dead = await self._database.column("SELECT message_id FROM busbridge_inbox WHERE state = 'dead'")
        calls = Counter(self._calls.read_text().splitlines())
        verdict = self.ledger.judge(effects)
        if verdict.wrong() or dead:
            file = self.ledger.save(name, effects, calls)
            found = [f"{len(orders)} {word}: {sorted(orders)[:5]}" for word, orders in verdict.wrong().items()]
            raise AssertionError("\n".join([*found, f"{len(dead)} dead: {dead[:5]}", f"the ledger: {file}"]))
        outcomes = ", ".join(f"{count} {status}" for status, count in self.ledger.outcomes().items())
        return (
            f"{name}: {len(self.ledger.fates)} orders ({outcomes}), {self.ledger.storms} faults, "
            f"{self.crew.deaths} processes killed, {calls.total()} calls; "
            f"{verdict.effects} effects, lost 0, twice 0, {len(verdict.recovered)} recovered"
        )


_BEST = (Status.CONFIRMED, Status.UNKNOWN, Status.REFUSED)
