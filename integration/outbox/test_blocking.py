"""Publishing from synchronous code in its own transactions on PostgreSQL: Django's, and a session of SQLAlchemy's."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from busbridge.errors import StoreError
from busbridge.outbox import Relay
from tests.outbox.django_cases import Site, Transactions, connected, orders
from tests.runtime.conftest import Placed


@pytest.fixture
def another_url(postgresql):
    return postgresql.url


@pytest.fixture
def site(store_url, another_url, monkeypatch):
    """No relay looks by itself: being told of a commit is what makes it publish."""
    monkeypatch.setitem(Relay.__init__.__kwdefaults__, "poll", 3600.0)
    with connected(store_url, another_url):
        yield Site(store_url)


def sessions(url):
    """By psycopg, as a user's own engine."""
    return create_engine(urlsplit(url)._replace(scheme="postgresql+psycopg").geturl())


class TestTransactionsOfDjango(Transactions):
    def test_the_relay_is_told_after_the_commit_and_not_before(self, site):
        with site.bus() as bus:
            with transaction.atomic():
                with bus.outbox(connection) as tx:
                    tx.publish(Placed(order_id="1"))
                assert site.left(bus) == 0  # and the relay has looked, if it was told
            assert site.left(bus) == 0
        assert site.taken() == ["1"]


def test_a_blocking_session_commits_rows_and_messages_together(site, store_url):
    engine = sessions(store_url)
    with site.bus() as bus, Session(engine) as session:
        session.execute(text("INSERT INTO orders VALUES ('mine')"))
        with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="1"))
        session.commit()
        with bus.outbox(session) as tx:
            tx.publish(Placed(order_id="lost"))
        session.rollback()
        assert site.left(bus) == 0
        assert orders() == ["mine"]
    engine.dispose()
    assert site.taken() == ["1"]


def test_a_blocking_session_on_another_database_is_refused(site, another_url):
    engine = sessions(another_url)
    with site.bus() as bus, Session(engine) as session:
        with pytest.raises(StoreError, match="another database"), bus.outbox(session):
            pass
    engine.dispose()
