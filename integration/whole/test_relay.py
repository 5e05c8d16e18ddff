"""`busbridge relay` as processes of their own, on real brokers."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from busbridge import Bus, Service
from integration.effects.databases import PostgreSQLDatabase, SQLiteFile
from integration.whole.conftest import Sold

PROGRAM = """
from busbridge import Contract, Service

class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str
    cents: int

service = Service({name!r}, publishes=[Sold])

for place in ("work", "keep"):
    @service.subscription(place).handles(Sold)
    async def never(message: Sold) -> None:
        raise AssertionError("a relay calls no handler")
"""
MESSAGES = 300


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request, config, name, tmp_path):
    """The configuration, with a store."""
    if request.param == "sqlite":
        database = SQLiteFile(tmp_path / "shop.db")
    else:
        database = PostgreSQLDatabase(request.getfixturevalue("postgresql"))
    asyncio.run(database.create())
    config["services"][name]["store"] = {"url": database.url, "upgrade": True}
    (tmp_path / "app.py").write_text(PROGRAM.format(name=name))
    (tmp_path / "busbridge.yaml").write_text(json.dumps(config))
    yield config
    asyncio.run(database.remove())


@contextmanager
def relays(folder, count):
    """Processes that relay, until the block ends."""
    command = [sys.executable, "-m", "busbridge", "relay", "app:service"]
    processes = [subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        for each in processes:
            while "serving" not in (line := each.stderr.readline()):
                assert line, "it ended"
        yield processes
    finally:
        for each in processes:
            each.kill()
            each.communicate()


def stopped(process):
    """Gracefully: its exit code."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return process.returncode


async def test_relays_share_the_work_and_one_that_is_stopped_leaves_its_part_to_the_other(stored, name, tmp_path):
    """Each message is on the stream once, those of a key in their order, though no process that publishes relays."""
    service = Service(name, publishes=[Sold])
    for place in ("work", "keep"):
        service.subscription(place).handles(Sold, name="never")(_never)
    async with Bus(service, stored, consume=False, relay=False) as bus:
        with relays(tmp_path, 2) as (first, second):
            for begin in range(0, MESSAGES, 50):
                async with bus.transaction() as tx:
                    for number in range(begin, begin + 50):
                        tx.publish(Sold(order_id=str(number % 10), cents=number))
                if begin == MESSAGES // 2:
                    assert await asyncio.to_thread(stopped, first) == 0
            await _published(bus)
            assert await asyncio.to_thread(stopped, second) == 0
        found = [each.message async for each in bus.read("history", Sold)]
    assert sorted(each.cents for each in found) == list(range(MESSAGES))
    for key in map(str, range(10)):
        cents = [each.cents for each in found if each.order_id == key]
        assert cents == sorted(cents)


async def _never(_: Sold) -> None: ...


async def _published(bus):
    async with asyncio.timeout(60):
        while (await bus._storing.store.waiting()).pending:  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.05)
