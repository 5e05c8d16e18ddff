"""`busbridge run` as a process of its own, on real brokers: it works, and SIGTERM loses nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from busbridge import Bus, Service
from integration.whole.conftest import Sold

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import asyncio
from busbridge import Contract, Service

class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str
    cents: int

service = Service({name!r})

async def record(place, message):
    await asyncio.sleep(0.01)
    with open({log!r}, "a") as log:
        log.write(f"{{place}} {{message.order_id}}\\n")

@service.subscription("work").handles(Sold)
async def work(message: Sold) -> None:
    await record("work", message)

@service.subscription("keep").handles(Sold)
async def keep(message: Sold) -> None:
    await record("keep", message)
"""


class Worker:
    """The process, with what it handled in a file."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        self.log = folder / "handled"
        (folder / "app.py").write_text(PROGRAM.format(name=name, log=str(self.log)))
        (folder / "busbridge.yaml").write_text(json.dumps(config))
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "busbridge", "run", "app:service"]
        self.process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        lines = []
        while "serving" not in (line := self.process.stderr.readline()):
            lines.append(line)
            assert line, f"it ended: {''.join(lines)}"

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err

    def wait_for(self, count: int, seconds: float = 90) -> None:
        """Blocks until so many lines are in its file."""
        deadline = time.monotonic() + seconds
        while len(self.handled()) < count:
            assert time.monotonic() < deadline, f"{len(self.handled())} of {count} after {seconds} s"
            time.sleep(0.02)

    def handled(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def worker(tmp_path: Path, name: str, config: dict[str, Any]) -> Iterator[Worker]:
    worker = Worker(tmp_path, name, config)
    yield worker
    if worker.process is not None and worker.process.poll() is None:
        worker.process.kill()
        worker.process.communicate()


async def test_a_service_that_is_stopped_and_started_again_under_load_handles_everything_once(config, worker: Worker):
    """A graceful stop finishes and settles what is in flight: nothing is lost, and nothing is done twice."""
    for subscription in next(iter(config["services"].values()))["subscriptions"].values():
        subscription |= {"concurrency": 4, "prefetch": 20}
    worker.folder.joinpath("busbridge.yaml").write_text(json.dumps(config))
    orders = [f"{n}" for n in range(600)]
    await asyncio.to_thread(worker.start)
    async with Bus(Service("shop", publishes=[Sold]), config) as bus:
        publishing = asyncio.ensure_future(bus.publish_many(Sold(order_id=each, cents=1) for each in orders))
        for goal in (200, 500):
            await asyncio.to_thread(worker.wait_for, goal)
            await asyncio.to_thread(worker.stop)
            await asyncio.to_thread(worker.start)
        await publishing
    await asyncio.to_thread(worker.wait_for, 2 * len(orders))
    await asyncio.to_thread(worker.stop)
    assert sorted(worker.handled()) == sorted(f"{place} {each}" for place in ("work", "keep") for each in orders)
