"""Stores in one new database for each test."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from busbridge.store import Store

pytest.register_assert_rewrite("tests.store.cases")


def in_database(url, statement):
    async def run():
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def store_url(postgresql):
    name = f"store_{uuid4().hex}"
    in_database(postgresql.url, f"CREATE DATABASE {name}")
    yield urlsplit(postgresql.url)._replace(path=f"/{name}").geturl()
    in_database(postgresql.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_store(store_url):
    """Makes stores, not open, of one database: as one for each process."""

    def make(service="shop", **options):
        return Store(store_url, service, **options)

    return make
