"""A service that makes two messages of each that it handles, `exactly_once`; and what came of it.

`python -m integration.kafka.transforming '{"run": ...}'` serves until SIGTERM, or until it reaches the seam at which it
is to kill itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from busbridge import Bus, Context, Contract, Service
from busbridge.outbox import _seams
from busbridge.routing import load
from busbridge.runtime import InstalledTransports, remove, serve
from busbridge_kafka import KafkaTransport
from integration.kafka import saboteurs

ROOT = Path(__file__).parents[2]
SECONDS = 45
PARTITIONS = 3
NOTHING = {"missing": [], "more": []}
"""What is wrong where all is well."""
HALVES = ("left", "right")


class Whole(Contract, name="exactly.whole", version=1, key="key"):
    key: str
    number: int


class Half(Contract, name="exactly.half", version=1, key="key"):
    key: str
    half: str
    padding: str = ""


@dataclass(frozen=True)
class Job:
    """What a process is to do."""

    config: dict[str, Any]
    seam: str = ""
    """Where to die; nowhere if empty."""
    nth: int = 1
    saboteur: str = ""


def halving(run: str, seconds: float = 0.0, calls: Counter[str] | None = None) -> Service[None]:
    service = Service(run, publishes=[Half, Whole])

    @service.subscription("halve").handles(Whole)
    async def halve(whole: Whole, context: Context) -> None:
        for half in HALVES:
            context.publish(Half(key=whole.key, half=f"{whole.number}-{half}"))
        if calls is not None:
            calls[str(whole.number)] += 1
        _seams.reached("in_handler")
        await asyncio.sleep(seconds)

    return service


@dataclass
class Scene:
    """Names of its own on a broker."""

    broker: Any
    client: dict[str, Any] = field(default_factory=dict)
    subscription: dict[str, Any] = field(default_factory=dict)
    run: str = field(default_factory=lambda: f"exactly-{uuid.uuid4().hex[:8]}")
    expected: int = 0

    @property
    def config(self) -> dict[str, Any]:
        stream = {"kind": "stream", "transport": "kafka", "partitions": PARTITIONS, "replication": 1}
        reading = {"from": "wholes", "exactly_once": True, "concurrency": 4, **self.subscription}
        return {
            "transports": {"kafka": {"url": self.broker.url, "client": self.client}},
            "destinations": {
                "wholes": {**stream, "name": f"{self.run}.wholes"},
                "halves": {**stream, "name": f"{self.run}.halves"},
            },
            "routes": {"exactly.whole": {"to": "wholes"}, "exactly.half": {"to": "halves"}},
            "services": {self.run: {"subscriptions": {"halve": reading}}},
            "stop": {"grace": "5s"},
        }

    @asynccontextmanager
    async def open(self):
        """A bus that takes nothing; all that has the scene's names is removed at the end."""
        try:
            async with self.bus(consume=False) as bus:
                yield bus
        finally:
            await remove(self.loaded, InstalledTransports(), ["kafka"])

    @property
    def loaded(self):
        return load(self.config)

    @property
    def plan(self):
        (plan,) = self.loaded.subscriptions()
        return plan

    @asynccontextmanager
    async def transport(self):
        """A client of its own, open."""
        transport = KafkaTransport(self.loaded.transports["kafka"])
        await transport.open()
        try:
            yield transport
        finally:
            await transport.close()

    def bus(self, service=None, **options):
        return Bus(service or halving(self.run), self.config, **options)

    def refuse_more_than(self, size):
        """Has the broker refuse batches of halves that are longer."""
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, f"{self.run}.halves", incremental_configs=[entry])
        admin = self.broker.admin()
        admin.incremental_alter_configs([resource])[resource].result(SECONDS)

    async def publish(self, bus, count):
        messages = [
            Whole(key=f"k{number % 20}", number=number) for number in range(self.expected, self.expected + count)
        ]
        self.expected += count
        await bus.publish_many(messages)

    async def halves(self, bus):
        return [each.message.half async for each in bus.read("halves", Half)]

    async def complete(self, bus):
        """Waits until every half is there that should be."""
        async with asyncio.timeout(SECONDS):
            while len(set(await self.halves(bus))) < len(HALVES) * self.expected:  # noqa: ASYNC110 - a broker's state
                await asyncio.sleep(0.2)

    async def wrong(self, bus):
        """What is missing, or there more than once; to be asked when nobody is at work any more."""
        found = Counter(await self.halves(bus))
        wanted = {f"{number}-{half}" for number in range(self.expected) for half in HALVES}
        more = [half for half, count in found.items() if count > 1]
        return {"missing": sorted(wanted - found.keys())[:5], "more": sorted(more)[:5]}

    def start(self, **job):
        """A process of its own."""
        command = [
            sys.executable,
            "-m",
            "integration.kafka.transforming",
            self.run,
            json.dumps(asdict(Job(self.config, **job))),
        ]
        return subprocess.Popen(command, cwd=ROOT)

    async def killed(self, bus, **job):
        """Returns when a process has killed itself; more comes until then, so that one transaction is not all."""
        child = self.start(**job)
        try:
            async with asyncio.timeout(SECONDS):
                while (code := child.poll()) is None:
                    await asyncio.sleep(0.5)
                    await self.publish(bus, 10)
        finally:
            child.kill()
        assert code == -signal.SIGKILL, f"it ended with {code} before it reached {job}"


class Deadly(Producer):
    """A producer with seams inside its transactions."""

    def send_offsets_to_transaction(self, *arguments):
        super().flush()
        _seams.reached("produced")
        super().send_offsets_to_transaction(*arguments)
        _seams.reached("all_but_committed")

    def commit_transaction(self, *arguments):
        super().commit_transaction(*arguments)
        _seams.reached("committed")


def die_at(seam: str, nth: int) -> None:
    """From now on the process is killed when it reaches `seam` the `nth` time."""
    left = nth

    def count(name: str) -> None:
        nonlocal left
        left -= name == seam
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    _seams.hook = count


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    run, job = sys.argv[1], Job(**json.loads(sys.argv[2]))
    if job.seam:
        die_at(job.seam, job.nth)
    with ExitStack() as stack:
        stack.enter_context(patch("busbridge_kafka._transport.Producer", Deadly))
        if job.saboteur:
            stack.enter_context(getattr(saboteurs, job.saboteur)())
        asyncio.run(serve([halving(run, 0.01)], job.config))


if __name__ == "__main__":
    main()
