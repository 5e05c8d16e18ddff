"""Nodes of a cluster are killed, stopped, frozen and cut off while two services work on it; so are their processes.

No order that was confirmed is lost, each effect happens once, and what was refused has none.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from itertools import count

import pytest

from integration.faults.storm import drawn, strike
from integration.faults.trial import Trial

DATABASES = ("sqlite", "postgresql")
WORKERS = 2
PER_SECOND = 40
MOST_UNCONFIRMED = 400
"""Orders that may wait for their confirm: beyond it the publisher waits, as one with a sense of proportion does."""
ROUNDS = int(os.environ.get("BUSBRIDGE_FAULTS_ROUNDS", "1"))


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cluster", ["rabbitmq", "kafka"], indirect=True)
async def test_nothing_is_lost_or_done_twice_whatever_befalls_a_cluster(cluster, new_database, seed, tell):
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        trials = {
            kind: await stack.enter_async_context(
                Trial(cluster.nodes[0], cluster.url, *new_database(kind), workers=WORKERS, replication=3)
            )
            for kind in DATABASES
        }
        await under_load(trials.values(), storm(cluster, list(trials.values()), seed, tell))
        for kind, trial in trials.items():
            await trial.settle()
            tell(await trial.check(f"{type(cluster).__name__}-{kind}-{seed}"))
    tell(f"faults: {time.monotonic() - began:.0f} s")


async def storm(cluster, trials, seed, tell):
    for fault in drawn(seed, ROUNDS, len(cluster.nodes), WORKERS):
        began = time.monotonic()
        booked = sum(trial.ledger.heard for trial in trials)
        await strike(fault, cluster, trials)
        booked = sum(trial.ledger.heard for trial in trials) - booked
        tell(f"faults: {fault}, over after {time.monotonic() - began:.0f} s; {booked} orders booked meanwhile")


async def under_load(trials, storm):
    """Publishes at a steady rate in every trial until the storm is over and all of it has been answered."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for trial in trials:
            group.create_task(load(trial, over))
        try:
            await storm
        finally:
            over.set()


async def load(trial, over):
    numbers = count()
    async with asyncio.TaskGroup() as publishes:
        room = asyncio.Semaphore(MOST_UNCONFIRMED)
        while not over.is_set():
            await room.acquire()
            number = next(numbers)
            published = publishes.create_task(trial.publish(range(number, number + 1)))
            published.add_done_callback(lambda _: room.release())
            await asyncio.sleep(1 / PER_SECOND)
