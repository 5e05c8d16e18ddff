"""Many orders go through inbox and outbox, one of six twice, while the workers are killed at random."""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest

from integration.faults.trial import Trial

MANY = int(os.environ.get("BUSBRIDGE_SOAK_ORDERS", "1000000"))
PER_DEATH = 10_000
"""Among so many orders one worker is killed."""
FEW = 2_000
BATCH = 500
MOST_OWED = 5_000
"""Orders that may be underway: the publisher waits for the workers, so that a queue holds little."""
HOURS = 3600
PAIRS = [("rabbitmq", "sqlite"), ("kafka", "postgresql")]


@pytest.mark.parametrize(("broker", "database"), PAIRS, indirect=["broker"])
async def test_a_few_thousand_orders_survive_workers_that_are_killed(broker, database, new_database, seed, tell):
    tell(await soak(broker, new_database(database), seed, FEW, deaths=2))


@pytest.mark.faults
@pytest.mark.timeout(3 * HOURS)
@pytest.mark.parametrize(("broker", "database"), PAIRS, indirect=["broker"])
async def test_a_million_orders_survive_workers_that_are_killed(broker, database, new_database, seed, tell):
    tell(await soak(broker, new_database(database), seed, MANY, deaths=MANY // PER_DEATH, tell=tell))


async def soak(broker, place, seed, count, *, deaths, tell=None):
    """What became of `count` orders, in one line. So many workers are killed, when chance has it."""
    began = time.monotonic()
    chance = random.Random(seed)
    moments = sorted(chance.randrange(count // 20, count - count // 20) for _ in range(deaths))
    async with Trial(broker, broker.url, *place, batch=50) as trial:
        async with asyncio.TaskGroup() as both:
            both.create_task(kill_at(trial, moments, chance))
            both.create_task(publish_all(trial, count, tell))
        await trial.settle()
        seconds = time.monotonic() - began
        verdict = await trial.check(f"soak-{type(broker).__name__}-{seed}")
    return f"{verdict}; {seconds:.0f} s, {count / seconds:.0f} orders/s"


async def publish_all(trial, count, tell):
    for first in range(0, count, BATCH):
        await trial.publish(range(first, min(first + BATCH, count)), insist=True)
        while trial.ledger.owed > MOST_OWED:
            trial.crew.check()
            await asyncio.sleep(0.05)
        if tell and first % 50_000 == 0:
            tell(f"soak: {first} of {count} published, {trial.crew.deaths} workers killed, at {trial.ledger.now:.0f} s")


async def kill_at(trial, moments, chance):
    """Kills a worker whenever so many orders are booked."""
    for moment in moments:
        while trial.ledger.heard < moment:
            trial.crew.check()
            await asyncio.sleep(0.02)
        await asyncio.to_thread(trial.crew.kill, chance.randrange(trial.crew.size))
