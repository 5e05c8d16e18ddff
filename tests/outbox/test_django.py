"""Publishing in transactions of Django's, on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from django.db import connection, transaction

from busbridge.errors import StoreContention
from busbridge.outbox import Relay
from tests.outbox.django_cases import Site, Transactions, connected
from tests.runtime.conftest import Placed


@pytest.fixture
def file(tmp_path):
    return tmp_path / "shop.db"


@pytest.fixture
def site(file, tmp_path, monkeypatch):
    """No relay looks by itself: being told of a commit is what makes it publish."""
    monkeypatch.setitem(Relay.__init__.__kwdefaults__, "poll", 3600.0)
    with connected(f"sqlite:///{file}", f"sqlite:///{tmp_path / 'another.db'}"):
        yield Site(f"sqlite:///{file}")


class TestTransactions(Transactions): ...


def test_a_writer_that_is_in_the_way_is_told_as_contention(site, file):
    with site.bus() as bus, closing(sqlite3.connect(file, isolation_level=None)) as writer:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreContention), transaction.atomic(), bus.outbox(connection) as tx:
            tx.publish(Placed(order_id="1"))
        writer.execute("ROLLBACK")
    assert site.taken() == []
