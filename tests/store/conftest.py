"""Stores in one new file for each test."""

from __future__ import annotations

import pytest

from busbridge.store import Store


@pytest.fixture
def store_url(tmp_path):
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def new_store(store_url):
    """Makes stores, not open, of one database: as one for each process."""

    def make(service="shop", **options):
        return Store(store_url, service, **options)

    return make
