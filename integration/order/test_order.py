"""Order per key while messages fail, on a place with one shard or partition, and one lane (T17)."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from busbridge import Bus, Service
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove
from integration.brokers import Kafka
from integration.effects.databases import PostgreSQLDatabase, SQLiteFile
from integration.order.child import Job, Step

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

ROOT = Path(__file__).parents[2]
SECONDS = 60
LINES = "ab"
LENGTH = 8
SHORT_SESSION = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Any:
    """The one that the test's parameter names."""
    return request.getfixturevalue(request.param)


class Line:
    """A publisher and a worker in a process of its own, under names of their own."""

    def __init__(self, broker: Any, folder: Path, store: str | None, **subscription: Any) -> None:
        run = uuid.uuid4().hex[:8]
        stream = isinstance(broker, Kafka)
        kind = {"kind": "stream", "replication": 1} if stream else {"kind": "queue", "ordered": True}
        self.worker, self._file = f"worker-{run}", folder / "steps"
        self._out: Bus[None]
        self._log = folder / "log"
        self.config = {
            "transports": {"broker": {"url": broker.url, "client": SHORT_SESSION if stream else {}}},
            "destinations": {"steps": {**kind, "transport": "broker", "partitions": 1, "name": f"order-{run}.steps"}},
            "routes": {"order.step": {"to": "steps"}},
            "services": {
                self.worker: {
                    "store": {"url": store, "upgrade": True, "batch": 5} if store else None,
                    "subscriptions": {"work": {"from": "steps", "retry": {"attempts": 4}, **subscription}},
                }
            },
            "stop": {"grace": "5s"},
        }

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Line]:
        try:
            async with Bus(Service("out", publishes=[Step]), self.config) as self._out:
                yield self
        finally:
            await remove(load(self.config), InstalledTransports(), ["broker"])

    async def publish(self, steps: Sequence[Step]) -> None:
        await self._out.publish_many(steps)

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[subprocess.Popen[bytes]]:
        """A worker, killed at the end of the block unless it has ended."""
        stored = self.config["services"][self.worker]["store"] is not None
        job = json.dumps(asdict(Job(self.worker, self.config, str(self._file), stored)))
        with self._log.open("ab") as log:
            child = subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
                [sys.executable, "-m", "integration.order.child", job], cwd=ROOT, stdout=log, stderr=log
            )
        try:
            yield child
        finally:
            child.kill()
            await asyncio.to_thread(child.wait, SECONDS)

    def told(self) -> list[list[str]]:
        return [line.split() for line in self._file.read_text().splitlines()] if self._file.exists() else []

    async def until(self, ended: int) -> None:
        """Until so many steps have ended."""
        async with asyncio.timeout(SECONDS):
            while len({(line, number) for word, line, number, _ in self.told() if word == "end"}) < ended:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def attempts(self) -> dict[str, list[int]]:
        """By step: the attempts there were, each once however often its transaction was begun anew."""
        found: defaultdict[str, dict[int, None]] = defaultdict(dict)
        for word, line, number, attempt in self.told():
            if word == "begin":
                found[f"{line}{number}"][int(attempt)] = None
        return {step: list(attempts) for step, attempts in found.items()}

    def log(self) -> str:
        """What the workers wrote last."""
        return self._log.read_text(errors="replace")[-3000:]


def some_steps(chance: random.Random, seconds: float) -> list[Step]:
    """Lines that are interleaved; some of their steps fail, up to three times."""
    return [
        Step(line=line, number=number, failures=chance.choice((0, 0, 0, 1, 3)), seconds=chance.uniform(0.05, seconds))
        for number in range(LENGTH)
        for line in LINES
    ]


async def stopped(child: subprocess.Popen[bytes]) -> None:
    """Stops it gracefully: what had ended is committed then."""
    child.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(child.wait, SECONDS) == 0


def expected(steps: Sequence[Step]) -> dict[str, list[int]]:
    return {f"{each.line}{each.number}": list(range(1, each.failures + 2)) for each in steps}


@pytest.mark.parametrize("broker", ["rabbitmq", "kafka"], indirect=True)
async def test_a_step_that_fails_is_waited_for_by_its_own_line_only(broker: Any, tmp_path: Path) -> None:
    """C18, without a store, and with more behind it than the window: what waits keeps one place of that."""
    stuck = [Step(line="a", number=0, failures=1, seconds=2), Step(line="b", number=0)]
    steps = [*stuck, *(Step(line="b", number=number + 1) for number in range(40)), Step(line="a", number=1)]
    async with Line(broker, tmp_path, None, prefetch=8).open() as line:
        await line.publish(steps)
        async with line.working():
            await line.until(len(steps))
        told = line.told()
    begun = [(name, int(number), int(attempt)) for word, name, number, attempt in told if word == "begin"]
    assert [each for each in begun if each[0] == "a"] == [("a", 0, 1), ("a", 0, 2), ("a", 1, 1)]
    assert [each for each in begun if each[0] == "b"] == [("b", number, 1) for number in range(41)]
    assert told.index(["end", "b", "40", "1"]) < told.index(["begin", "a", "0", "2"])


@pytest.mark.parametrize(
    ("broker", "kind", "on_failure"),
    [
        ("rabbitmq", "sqlite", "block"),
        ("kafka", "postgresql", "block"),
        ("rabbitmq", "postgresql", "park_key"),
        ("kafka", "sqlite", "park_key"),
    ],
    indirect=["broker"],
)
async def test_lines_keep_their_order_over_failures_and_a_killed_process(
    broker: Any, tmp_path: Path, postgresql: Any, kind: str, on_failure: str, seed: int
) -> None:
    """The worker is killed in the middle: each step is taken once, in order, and its attempts go on counting."""
    chance = random.Random(seed)
    database = SQLiteFile(tmp_path / "worker.db") if kind == "sqlite" else PostgreSQLDatabase(postgresql)
    await database.create()
    await database.column("CREATE TABLE steps (at bigint, step text)")
    steps = some_steps(chance, 0.3)
    try:
        async with Line(broker, tmp_path, database.url, on_failure=on_failure).open() as line:
            await line.publish(steps)
            for part in (chance.randrange(4, 12), len(steps)):
                async with line.working() as child:
                    await line.until(part)
                    if part == len(steps):
                        await stopped(child)
            taken = await database.column("SELECT step FROM steps ORDER BY at")
            for name in LINES:
                wanted = [f"{each.line}{each.number}" for each in steps if each.line == name]
                assert [each for each in taken if each[0] == name] == wanted, line.log()
            assert line.attempts() == expected(steps), line.log()
            for table in ("busbridge_parked", "busbridge_timers"):
                assert await database.column(f"SELECT id FROM {table}") == []
    finally:
        await database.remove()


@pytest.fixture
def seed() -> int:
    """Printed, for a failure to be repeated with."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    return seed
