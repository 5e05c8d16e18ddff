"""PostgreSQL keeps every row about databases."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.store import Store
from busbridge.testing.conformance.stores import STORE_ROWS
from integration.effects.databases import PostgreSQLDatabase


@pytest.mark.parametrize("row", STORE_ROWS, ids=lambda row: f"{row.id}-{row.name}")
def test_postgresql_keeps(row, postgresql):
    asyncio.run(kept(row, PostgreSQLDatabase(postgresql)))


async def kept(row, database):
    await database.create()
    try:
        await row.run(lambda service: Store(database.url, service))
    finally:
        await database.remove()
