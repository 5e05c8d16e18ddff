"""A service that is killed, between a broker and a database, and what became of its messages."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from busbridge import Bus, Context, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, dead_letters_of, remove
from integration.brokers import Kafka
from integration.effects.child import DEADLY, STOPPED, Job
from integration.effects.contracts import Booked, Ordered
from integration.effects.inputs import PARTITIONS, unread
from integration.effects.operator import Redrive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from integration.brokers import RabbitMQ
    from integration.effects.databases import PostgreSQLDatabase, SQLiteFile

ROOT = Path(__file__).parents[2]
BATCH = 10
SECONDS = 60
"""How long anything may take."""
_QUIET = 2.0
"""Seconds without any news after which a child that nothing is left for is taken to have come to its end."""
_SILENT = 20.0
"""The same for any child."""
_SHORT_SESSION = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}
"""As short as Kafka allows: only after it are the partitions of a process that was killed another's."""


class Scene:
    """Entered, it publishes and listens, under names of its own; children come and go."""

    def __init__(
        self, broker: Kafka | RabbitMQ, database: PostgreSQLDatabase | SQLiteFile, folder: Path, **subscription: Any
    ) -> None:
        self._broker = broker
        self._database = database
        self._folder = folder
        run = uuid.uuid4().hex[:8]
        self._shop, self._worker = f"shop-{run}", f"worker-{run}"
        self._orders = f"effects-{run}.orders"
        self.config = self._configuration(run, subscription)
        self._stack = AsyncExitStack()
        self._expected: set[str] = set()
        self._ids: defaultdict[str, set[str]] = defaultdict(set)
        """By order: the ids of the messages that said it was booked."""
        self._bus: Bus[None]
        self._child: subprocess.Popen[bytes] | None = None
        self._logs: list[Path] = []

    def _configuration(self, run: str, subscription: Mapping[str, Any]) -> dict[str, Any]:
        stream = isinstance(self._broker, Kafka)
        kind = {"kind": "stream", "partitions": PARTITIONS, "replication": 1} if stream else {"kind": "queue"}
        place = {**kind, "transport": "broker"}
        return {
            "transports": {"broker": {"url": self._broker.url, "client": _SHORT_SESSION if stream else {}}},
            "destinations": {
                "orders": {**place, "name": self._orders},
                "bookings": {**place, "name": f"effects-{run}.bookings"},
            },
            "routes": {"effects.ordered": {"to": "orders"}, "effects.booked": {"to": "bookings"}},
            "services": {
                self._shop: {"subscriptions": {"audit": {"from": "bookings"}}},
                self._worker: {
                    "store": {"url": self._database.url, "upgrade": True, "batch": BATCH},
                    "subscriptions": {"work": {"from": "orders", "concurrency": 2, **subscription}},
                },
            },
            "stop": {"grace": "5s"},
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._database.create()
            stack.push_async_callback(self._database.remove)
            stack.push_async_callback(remove, load(self.config), InstalledTransports(), ["broker"])
            self._bus = await stack.enter_async_context(Bus(self._publisher(), self.config))
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.__aexit__(*exception)

    def _publisher(self) -> Service[None]:
        shop = Service(self._shop, publishes=[Ordered])

        @shop.subscription("audit").handles(Booked)
        async def audit(booked: Booked, context: Context) -> None:
            self._ids[booked.order_id].add(context.message_id)

        return shop

    def _end(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    async def publish(self, orders: Iterable[Ordered], *, copies: bool = True) -> None:
        """Publishes all; of every six the first a second time at once, and the fourth a second time at the end."""
        orders = list(orders)
        self._expected |= {each.order_id for each in orders}
        if copies:
            orders = [copy for number, each in enumerate(orders) for copy in [each] * (2 if number % 6 == 0 else 1)]
            orders += list({each.order_id: each for each in orders}.values())[3::6]
        await asyncio.gather(*(self._bus.publish(each, message_id=f"id-{each.order_id}") for each in orders))

    async def killed_at(self, seam: str, nth: int, *, saboteur: str = "", run: str = "") -> None:
        """Starts a child, and returns when it has killed itself at the `nth` time that it reached `seam`."""
        code = await self._code(self._start(seam=seam, nth=nth, saboteur=saboteur, run=run))
        assert code == -signal.SIGKILL, f"it ended with {code} before it reached {seam} {nth} times:\n{self._log()}"

    async def redrive(self, *, killed_at: int = 0) -> None:
        """Sends again what is dead, ten at a time, in a process of its own, and removes it.

        That is killed between the two if `killed_at` is a number: at so many tens.
        """
        code = await self._code(self._begin("operator", Redrive(self._worker, self.config, killed_at)))
        assert code == (-signal.SIGKILL if killed_at else 0), f"the operator ended with {code}:\n{self._log()}"

    async def dead(self) -> Counter[str]:
        """The orders of the dead letters."""
        async with dead_letters_of(self._worker, load(self.config), InstalledTransports()) as letters:
            return Counter([json.loads(letter.buried.body or b"")["order_id"] async for letter in letters.read()])

    async def until_dead(self, count: int) -> None:
        """Lets a child work until so many messages are dead letters."""
        child = self._start()
        async with asyncio.timeout(SECONDS):
            while (await self.dead()).total() < count:  # noqa: ASYNC110 - brokers tell nobody
                await asyncio.sleep(0.2)
        await self._stopped(child)

    async def killed_by_a_message(self) -> None:
        """Starts a child, and returns when a message has killed it."""
        code = await self._code(self._start())
        assert code == DEADLY, f"it ended with {code} and of no message:\n{self._log()}"

    async def stopped_at(self, calls: int) -> None:
        """Starts a child, and stops it gracefully when there have been so many calls of the handler."""
        child = self._start()
        await self._until(lambda: len(self.calls()) >= calls)
        await self._stopped(child)

    async def finish(self, *, saboteur: str = "", mended: bool = False, losing: int = 0) -> None:
        """Lets children work until nothing is left for them: the last ones, whatever has become of the messages."""
        async with asyncio.timeout(SECONDS):
            while True:
                child = self._start(saboteur=saboteur, mended=mended, losing=losing)
                await self._until_quiet(child)
                await self._stopped(child)
                if not await self._unread():
                    return

    async def replay(self, run: str, *, stop_after: int = 0) -> int:
        """Lets a child make a replay run to its end, or stops it after so many calls; returns its exit code."""
        child = self._start(run=run)
        if stop_after:
            await self._until(lambda: len(self.calls()) >= stop_after)
            child.send_signal(signal.SIGINT)
        code = await self._code(child)
        assert code in (0, STOPPED), f"it ended with {code}:\n{self._log()}"
        if not code:
            await self._until(lambda: len(self._ids) >= len(self._expected))
        return code

    async def check(self, *, dead: frozenset[str] = frozenset()) -> None:
        """Raises AssertionError with all that is wrong: effects that are missing or there twice, and what is stuck.

        Orders in `dead` are dead, and have no effect.
        """
        self._expected -= dead
        buried = await self._database.column("SELECT message_id FROM busbridge_inbox WHERE state = 'dead'")
        rows = Counter(await self._database.column("SELECT order_id FROM effects"))
        told = {order for order, ids in self._ids.items() if ids}
        wrong = {
            "without their effect": self._expected - rows.keys(),
            "with their effect more than once": {order for order, count in rows.items() if count > 1},
            "with an effect that nobody asked for": rows.keys() - self._expected,
            "without their message": self._expected - told,
            "with messages of different ids": {order for order, ids in self._ids.items() if len(ids) > 1},
            "with a message, but no effect": told - rows.keys(),
            "dead or not": {f"id-{order}" for order in dead} ^ set(buried),
            "stuck in the outbox": set(await self._database.column("SELECT message_id FROM busbridge_outbox")),
            "stuck among the timers": set(await self._database.column("SELECT id FROM busbridge_timers")),
        }
        found = [f"{len(orders)} {words}: {sorted(orders)[:5]}" for words, orders in wrong.items() if orders]
        assert not found, "\n".join([*found, self._log()])

    def calls(self) -> list[str]:
        """The orders that the handler was called with, in all children."""
        file = self._folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def _start(self, **options: Any) -> subprocess.Popen[bytes]:
        job = Job(self._worker, self.config, str(self._folder / "calls"), **options)
        self._child = self._begin("child", job)
        return self._child

    def _begin(self, module: str, job: Job | Redrive) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"integration.effects.{module}", json.dumps(asdict(job))]
        self._logs.append(self._folder / f"log-{len(self._logs) + 1}")
        with self._logs[-1].open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    async def _code(self, child: subprocess.Popen[bytes]) -> int:
        """The code that it ends with; AssertionError, with what it wrote, if it does not."""
        try:
            return await asyncio.to_thread(child.wait, SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end within {SECONDS} s, after {len(self.calls())} calls:\n{self._log()}")

    async def _stopped(self, child: subprocess.Popen[bytes]) -> None:
        child.send_signal(signal.SIGTERM)
        code = await self._code(child)
        assert code == 0, f"it ended with {code}:\n{self._log()}"

    async def _until_quiet(self, child: subprocess.Popen[bytes]) -> None:
        """Until every order was booked, or there has been no news for a while, and nothing is left for the child."""
        await self._until(lambda: "serving" in self._logs[-1].read_text() or child.poll() is not None)
        seen, since = None, time.monotonic()
        while True:
            assert child.poll() is None, f"it ended by itself, with {child.poll()}:\n{self._log()}"
            now = len(self.calls()), len(self._ids)
            if now != seen:
                seen, since = now, time.monotonic()
            silence = time.monotonic() - since
            done = len(self._ids) == len(self._expected) or silence > _QUIET
            if (done and not await self._unread() and not await self._waiting()) or silence > _SILENT:
                return
            await asyncio.sleep(0.1)

    async def _waiting(self) -> bool:
        """Whether something waits in the database."""
        tables = ("busbridge_outbox", "busbridge_timers")
        return any([await self._database.column(f"SELECT id FROM {table} LIMIT 1") for table in tables])

    async def _unread(self) -> int:
        return await asyncio.to_thread(unread, self._broker, self._orders, f"{self._worker}.work")

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110 - another process's state has no event
                await asyncio.sleep(0.02)

    def _log(self) -> str:
        """What the children wrote last."""
        return "\n".join(f"{each.name}:\n{each.read_text(errors='replace')[-2000:]}" for each in self._logs)
