"""The session that handlers of one transaction share: their new rows go in together, and none of them can tell."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from busbridge import Context
from busbridge.runtime.effects._shared_session import SharedSession
from busbridge.testing import harness
from tests.runtime.conftest import Placed
from tests.runtime.effects import make_tables, stock_service, with_store, write, written


class Base(DeclarativeBase): ...


class Row(Base):
    __tablename__ = "rows_of_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="new")


@asynccontextmanager
async def shared_in(store):
    """The session of one transaction, and how many rows each INSERT had."""
    await store.open(upgrade=True)
    async with store.transaction() as transaction:
        await transaction.connection.run_sync(Base.metadata.create_all)
    inserted = []

    def told(_connection, _cursor, sql, parameters, _context, executemany):
        if sql.startswith("INSERT"):
            inserted.append(len(parameters) if executemany else 1)

    async with store.transaction() as transaction:
        event.listen(transaction.connection.sync_connection, "before_cursor_execute", told)
        yield SharedSession(transaction.connection), inserted


async def rows(store):
    async with store.transaction() as transaction:
        return [tuple(row) for row in await transaction.connection.execute(text("SELECT * FROM rows_of_users"))]


async def left(shared, *ids):
    """Handlers have returned, each of which has added a row."""
    for each in ids:
        shared.session.add(Row(id=each))
        await shared.leave()


async def test_rows_of_many_handlers_are_inserted_by_one_statement(store):
    async with shared_in(store) as (shared, inserted):
        await left(shared, 1, 2, 3)
        assert inserted == []
        await shared.write()
        await shared.write()
        await shared.close()
        assert inserted == [3]
    assert await rows(store) == [(1, "new"), (2, "new"), (3, "new")]


@pytest.mark.parametrize(
    "look",
    [
        lambda shared: shared.connection.scalar(text("SELECT count(*) FROM rows_of_users")),
        lambda shared: shared.session.scalar(text("SELECT count(*) FROM rows_of_users")),
        lambda shared: shared.session.get(Row, 2),
    ],
    ids=["connection", "session", "get"],
)
async def test_the_next_statement_of_anybody_finds_them(store, look):
    async with shared_in(store) as (shared, _):
        await left(shared, 1, 2)
        assert await look(shared)


async def test_whoever_takes_the_drivers_connection_finds_them(store):
    async with shared_in(store) as (shared, _):
        await left(shared, 1)
        driver = (await shared.connection.get_raw_connection()).driver_connection
        assert driver.execute("SELECT count(*) FROM rows_of_users").fetchone() == (1,)


async def test_a_savepoint_taken_back_does_not_take_rows_of_others_along(store):
    async with shared_in(store) as (shared, _):
        await left(shared, 1)
        with suppress(RuntimeError):
            async with shared.session.begin_nested():
                shared.session.add(Row(id=2))
                raise RuntimeError
        await shared.leave()
        await shared.write()
    assert await rows(store) == [(1, "new")]


async def test_no_handler_meets_objects_of_another(store):
    async with shared_in(store) as (shared, _):
        await left(shared, 1)
        assert not shared.session.new
        mine = await shared.session.get(Row, 1)
        await shared.leave()
        assert await shared.session.get(Row, 1) is not mine
        shared.session.expunge_all()
        await shared.leave()
    assert await rows(store) == [(1, "new")]


async def test_what_a_handler_throws_out_of_its_session_is_its_own_alone(store):
    async with shared_in(store) as (shared, _):
        await left(shared, 1)
        shared.session.add(Row(id=2))
        shared.session.expunge_all()
        await shared.leave()
        await shared.write()
    assert await rows(store) == [(1, "new")]


async def test_what_was_read_and_changed_is_written_at_once(store):
    async with shared_in(store) as (shared, _):
        await left(shared, 1)
        row = await shared.session.get(Row, 1)
        row.text = "changed"
        await shared.leave()
        assert await shared.connection.scalar(select(Row.text)) == "changed"
        await shared.connection.execute(update(Row).values(text="later"))
    assert await rows(store) == [(1, "later")]


async def test_a_row_that_is_refused_loses_the_transaction_whoever_meets_it(store):
    with suppress(IntegrityError):
        async with shared_in(store) as (shared, _):
            await left(shared, 1, 1)
            with pytest.raises(IntegrityError):
                await shared.connection.scalar(text("SELECT 1"))
            assert shared.lost
            assert shared.refused, "the one who met it is not the one to blame"
            await shared.connection.execute(text("INSERT INTO rows_of_users VALUES (7, 'in no transaction of ours')"))
            raise IntegrityError("", (), Exception())
    assert await rows(store) == []


async def test_a_handler_that_swallows_the_refusal_of_anothers_row_loses_nothing(config):
    """The message at fault dies; the others' effects happen, though one of them had caught the error."""
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        calls.append(order.order_id)
        if order.order_id == "looks":
            with suppress(IntegrityError):
                await write("looks", context)
        else:
            context.session.add(Row(id=1, text=order.order_id))

    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        async with stock._storing.store.transaction() as transaction:
            await transaction.connection.run_sync(Base.metadata.create_all)
        await bus.publish_many(Placed(order_id=each) for each in ("first", "twice", "looks"))
        await bus.settled()
        assert await written(stock) == ["looks"]
        assert [type(each.error) for each in bus.dead] == [IntegrityError]
        assert calls[:3] == ["first", "twice", "looks"], "all of them in one transaction at first"
        assert await rows(stock._storing.store) == [(1, "first")]


async def test_a_mapping_that_refuses_an_object_by_itself_fails_its_message_and_no_other(config):
    """It is found out when all are inserted, and is no error of the database."""
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.session.add(Row(id=int(order.order_id), text=order.order_id))

    def refuse(_mapper, _connection, row):
        if row.text == "2":
            raise ValueError(row.text)

    event.listen(Row, "before_insert", refuse)
    try:
        async with harness(service, config=with_store(config), raise_failures=False) as bus:
            stock = bus.bus("stock")
            async with stock._storing.store.transaction() as transaction:
                await transaction.connection.run_sync(Base.metadata.create_all)
            await bus.publish_many(Placed(order_id=each) for each in "123")
            await bus.settled()
            assert await rows(stock._storing.store) == [(1, "1"), (3, "3")]
            assert [type(each.error) for each in bus.dead] == [ValueError]
    finally:
        event.remove(Row, "before_insert", refuse)
