"""The session that handlers of one transaction share is one only for those who ask for more than `add`."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, object_session
from sqlalchemy.orm.exc import UnmappedInstanceError

from busbridge.runtime.effects._frugal_session import FrugalSession
from tests.runtime.test_rows_left import Base, Child, Parent, Plain


@asynccontextmanager
async def frugal_in(store):
    await store.open(upgrade=True)
    async with store.transaction() as transaction:
        await transaction.connection.run_sync(Base.metadata.create_all)
    async with store.transaction() as transaction:
        session = FrugalSession(transaction.connection)
        yield session
        await session.drop()


async def test_who_only_adds_needs_no_session(store):
    async with frugal_in(store) as session:
        one, two = Plain(id=1), Plain(id=2)
        session.add(one)
        session.add_all([two, one])
        assert not session.opened
        assert object_session(one) is None
        assert list(session.take()) == [one, two], "each once, in the order of adding"
        assert list(session.take()) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda session, row: row in session,
        lambda session, row: row in session.new,
        lambda session, row: row in session.sync_session,
    ],
    ids=["in", "new", "sync_session"],
)
async def test_whatever_else_is_asked_of_it_finds_what_was_added(store, ask):
    async with frugal_in(store) as session:
        session.add(row := Plain(id=1))
        assert ask(session, row)
        assert session.opened
        assert list(session.take()) == []


async def test_a_query_finds_what_was_added_and_what_comes_later(store):
    async with frugal_in(store) as session:
        session.add(Plain(id=1))
        assert (await session.scalars(select(Plain.id))).all() == [1]
        session.add(Plain(id=2))
        assert (await session.get(Plain, 2)).id == 2
        assert await session.scalar(text("SELECT count(*) FROM plain")) == 2


async def test_a_savepoint_takes_back_what_was_added_in_it_alone(store):
    async with frugal_in(store) as session:
        session.add(Plain(id=1))
        async with session.begin_nested() as savepoint:
            session.add(Plain(id=2))
            await savepoint.rollback()
        assert (await session.scalars(select(Plain.id))).all() == [1]


async def test_what_is_no_new_object_is_refused_at_once_as_a_session_does(store):
    async with frugal_in(store) as session:
        with pytest.raises(UnmappedInstanceError):
            session.add("a text")
    with Session() as another:
        another.add(taken := Plain(id=1))
        async with frugal_in(store) as session:
            with pytest.raises(InvalidRequestError, match="already attached"):
                session.add(taken)


async def test_an_object_with_others_that_depend_on_it_takes_them_along(store):
    async with frugal_in(store) as session:
        session.add(Parent(id=1, children=[child := Child(id=2)]))
        assert child in session


@pytest.mark.parametrize("name", ["before_attach", "after_attach", "transient_to_pending"])
async def test_who_listens_to_sessions_is_told_of_what_is_added(store, name):
    told = []

    def listener(_session, row):
        told.append(row.id)

    event.listen(Session, name, listener)
    try:
        async with frugal_in(store) as session:
            session.add(Plain(id=1))
    finally:
        event.remove(Session, name, listener)
    assert told == [1]


async def test_what_nobody_has_is_no_attribute(store):
    async with frugal_in(store) as session:
        with pytest.raises(AttributeError, match="unheard_of"):
            _ = session.unheard_of
