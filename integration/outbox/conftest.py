"""Stores in one new database for each test."""

from __future__ import annotations

import pytest

from integration.store.conftest import new_store, store_url

__all__ = ["new_store", "store_url"]

pytest.register_assert_rewrite("tests.outbox.django_cases")
