"""The pipeline with one promise broken, entered in the child (T27)."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from unittest.mock import patch

from busbridge.runtime.effects._effects import Effects
from busbridge.runtime.effects._outbox_gate import OutboxGate
from busbridge.runtime.effects._unit import Unit

_ON_ITS_WAY = 0.5
"""Seconds after which a broker has heard a settlement, however lazily it is told."""


@contextmanager
def settled_before_commit():
    """Settles what a transaction holds before it is committed."""
    honest = Unit.write

    async def write(unit):
        await honest(unit)
        for ended in unit.ended:
            ended.delivery.accept()
        await asyncio.sleep(_ON_ITS_WAY)

    with patch.object(Unit, "write", write):
        yield


@contextmanager
def inbox_committed_apart():
    """Commits the effects first, and in another transaction that they happened."""
    honest_write, honest_transact = Unit.write, Effects._transact
    apart = {}

    async def write(unit):
        apart.update(unit._changed)
        unit._changed.clear()
        await honest_write(unit)

    async def transact(effects, works, **options):
        result = await honest_transact(effects, works, **options)
        rows = dict(apart)
        apart.clear()
        async with effects._store.transaction() as transaction:
            await transaction.inbox(rows)
            await transaction.put_inbox(rows.values())
        return result

    with patch.object(Unit, "write", write), patch.object(Effects, "_transact", transact):
        yield


@contextmanager
def outbox_without_bound():
    """Counts the outbox, and holds nobody up."""
    with patch.object(OutboxGate, "_judge"):
        yield
