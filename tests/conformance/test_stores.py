"""SQLite keeps every row about databases, and each row notices a database that doesn't."""

from __future__ import annotations

import asyncio

import pytest

from busbridge.store import Store
from busbridge.testing.conformance import RowFailed
from busbridge.testing.conformance.stores import STORE_ROWS
from tests.conformance.store_saboteurs import STORE_SABOTEURS

ROWS = {row.id: row for row in STORE_ROWS}


@pytest.fixture
def make(tmp_path):
    return lambda service: Store(f"sqlite:///{tmp_path / 'rows.db'}", service)


@pytest.mark.parametrize("row", STORE_ROWS, ids=lambda row: f"{row.id}-{row.name}")
def test_sqlite_keeps(row, make):
    asyncio.run(row.run(make))


@pytest.mark.parametrize(("saboteur", "row"), STORE_SABOTEURS.items(), ids=lambda each: getattr(each, "__name__", each))
def test_is_noticed(saboteur, row, make):
    with pytest.raises(RowFailed):
        asyncio.run(ROWS[row].run(lambda service: saboteur(make(service))))


def test_every_row_notices_a_saboteur():
    assert set(STORE_SABOTEURS.values()) == set(ROWS)
