"""The store on PostgreSQL."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from busbridge.errors import CommitUnknown, StoreContention, StoreError, StoreUnavailable
from busbridge.store import InboxState, Store
from tests.store import cases
from tests.store.helpers import execute, in_loop, key, message, opened, pending, put, row, until

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name AND pid <> pg_backend_pid()"
)

SLOW = "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END' LANGUAGE plpgsql"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


class TestTransactions(cases.Transactions): ...


class TestInboxes(cases.Inboxes): ...


class TestOutboxes(cases.Outboxes): ...


class TestLeases(cases.Leases): ...


class TestTimers(cases.Timers): ...


class TestParkings(cases.Parkings): ...


class TestSchemas(cases.Schemas): ...


@pytest.fixture
def cutter(new_store):
    """Ends the connections of the service `shop`, as a restart does or a balancer."""

    async def cut():
        async with opened(new_store("cutter")) as store:
            assert await execute(store, CUT, name="busbridge shop")

    return cut


@in_loop
async def test_shared_ids_in_other_order_do_not_deadlock(new_store):
    """T14. Who comes second is told that it met another one, and finds the rows when it tries again."""
    async with opened(new_store()) as store:
        await execute(store, SLOW)
        await execute(
            store, "CREATE TRIGGER slow BEFORE INSERT ON busbridge_inbox FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        started = asyncio.Barrier(2)

        async def batch(*ids):
            async with store.transaction() as transaction:
                await transaction.inbox(map(key, ids))
                await started.wait()
                await transaction.put_inbox(map(row, ids))

        outcomes = await asyncio.gather(batch("1", "2", "3"), batch("3", "2", "1"), return_exceptions=True)
        failed = [each for each in outcomes if each]
        assert len(failed) == 1
        assert isinstance(failed[0], StoreContention)
        assert "has had the same message" in str(failed[0])
        async with store.transaction() as transaction:
            assert len(await transaction.inbox(map(key, "123"))) == 3


@in_loop
async def test_rows_that_are_there_are_had_by_one_transaction_at_a_time(new_store):
    """And whoever waited sees what the other one made of them."""
    async with opened(new_store()) as store:
        async with store.transaction() as transaction:
            await transaction.put_inbox([row(each, InboxState.SCHEDULED) for each in "12"])

        async def late():
            async with store.transaction() as transaction:
                return {each.state for each in (await transaction.inbox(map(key, "21"))).values()}

        async def waits_or_is_done():
            return task.done() or await execute(store, WAITING) == [(1,)]

        async with store.transaction() as transaction:
            await transaction.inbox(map(key, "12"))
            task = asyncio.create_task(late())
            await until(waits_or_is_done)
            await transaction.put_inbox(map(row, "12"))
        assert await task == {InboxState.HANDLED}


@in_loop
async def test_a_deadlock_is_contention(new_store):
    async with opened(new_store()) as store:
        started = asyncio.Barrier(2)

        async def batch(first, second):
            async with store.transaction() as transaction:
                await transaction.put_inbox([row(first)])
                await started.wait()
                await transaction.put_inbox([row(second)])

        outcomes = await asyncio.gather(batch("1", "2"), batch("2", "1"), return_exceptions=True)
        assert [type(each) for each in outcomes if each] == [StoreContention]
        assert "deadlock" in str(next(each for each in outcomes if each))


@in_loop
async def test_a_serialization_failure_of_a_users_statement_is_told_as_contention(new_store):
    async with opened(new_store()) as store:
        await execute(store, "CREATE TABLE shelves (item TEXT)")
        await execute(store, "INSERT INTO shelves VALUES ('book')")
        with pytest.raises(DBAPIError) as failed:
            async with store.transaction() as transaction:
                await transaction.now()
                await transaction.connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        assert type(store.told(failed.value)) is StoreError, "too late for that: no contention"
        with pytest.raises(DBAPIError) as failed:
            async with store.transaction() as transaction:
                await transaction.connection.execute(
                    text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'serialization_failure'; END $$")
                )
        assert isinstance(store.told(failed.value), StoreContention)
        assert store.told(ValueError("the user's own")) is None


@in_loop
async def test_a_transaction_that_holds_a_failed_statement_is_not_taken_for_committed(new_store):
    """PostgreSQL answers COMMIT with ROLLBACK then, and the driver says nothing."""
    async with opened(new_store()) as store:
        await execute(store, "CREATE TABLE shelves (item TEXT PRIMARY KEY)")

        async def swallowed(transaction):
            await transaction.connection.execute(text("INSERT INTO shelves VALUES ('book')"))
            with pytest.raises(DBAPIError):
                await transaction.connection.execute(text("INSERT INTO shelves VALUES ('book')"))

        with pytest.raises(StoreError, match="current transaction is aborted"):
            async with store.transaction() as transaction:
                await swallowed(transaction)
        async with store.transaction() as transaction:
            await transaction.savepoint()
            await swallowed(transaction)
            with pytest.raises(StoreError, match="current transaction is aborted"):
                await transaction.release()
            await transaction.rollback_to()
            await transaction.release()
            await transaction.put_inbox([row("1")])
        assert await execute(store, "SELECT item FROM shelves") == []
        assert await execute(store, "SELECT message_id FROM busbridge_inbox") == [("1",)]


@in_loop
async def test_pooled_connections_that_were_cut_are_replaced_unnoticed(new_store, cutter):
    async with opened(new_store()) as store:
        await asyncio.gather(*(put(store, message(str(number))) for number in range(4)))
        await cutter()
        assert len(await pending(store)) == 4
        await asyncio.gather(*(store.waiting() for _ in range(4)))


@in_loop
async def test_a_connection_that_is_cut_within_a_transaction_is_unavailable_and_the_next_one_works(new_store, cutter):
    async with opened(new_store(connections=1)) as store:
        with pytest.raises(StoreUnavailable):
            async with store.transaction() as transaction:
                await transaction.put_inbox([row("1")])
                await cutter()
                await transaction.put_inbox([row("2")])
        with pytest.raises(DBAPIError) as failed:
            async with store.transaction() as transaction:
                await cutter()
                await transaction.connection.execute(text("SELECT 1"))
        assert isinstance(store.told(failed.value), StoreUnavailable)
        assert await execute(store, "SELECT * FROM busbridge_inbox") == []


@in_loop
async def test_a_connection_that_is_cut_before_commit_is_an_unknown_outcome(new_store, cutter):
    async with opened(new_store(connections=1)) as store:
        with pytest.raises(CommitUnknown, match="unknown whether"):
            async with store.transaction() as transaction:
                await transaction.put_inbox([row("1")])
                await cutter()
        assert await execute(store, "SELECT * FROM busbridge_inbox") == []


@in_loop
async def test_a_connection_to_what_has_become_a_standby_is_thrown_away(new_store):
    async with opened(new_store(connections=1)) as store:
        await execute(store, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(StoreUnavailable, match="read-only"):
            await put(store, message("1"))
        await put(store, message("2"))
        assert await pending(store) == ["2"]


@in_loop
async def test_a_session_of_the_users_is_in_the_transaction(new_store):
    async with opened(new_store()) as store:
        await execute(store, "CREATE TABLE shelves (item TEXT)")
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as transaction:
                session = AsyncSession(transaction.connection, join_transaction_mode="rollback_only")
                await session.execute(text("INSERT INTO shelves VALUES ('book')"))
                raise ZeroDivisionError
        assert await execute(store, "SELECT item FROM shelves") == []


@in_loop
async def test_a_connection_to_another_database_is_told_apart(new_store, store_url, postgresql):
    async with opened(new_store()) as store:
        for url, same in ((store_url, True), (postgresql.url, False)):
            engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
            async with engine.begin() as connection:
                assert await connection.run_sync(store.is_in) is same
                if same:
                    await connection.run_sync(store.insert_outbox, [message("1")])
            await engine.dispose()
        assert await pending(store) == ["1"]


def addresses(url):
    parts = urlsplit(url)
    at = f"{parts.hostname}:{parts.port}"
    yield f"postgresql://{parts.username}:hush@{at}{parts.path}", StoreError, "password authentication failed"
    yield f"postgresql://{parts.username}:hush@127.0.0.1:1/shop", StoreUnavailable, "127.0.0.1:1/shop is unavailable"
    yield f"{url}?password=hush", StoreError, "password authentication failed"
    yield url.replace(parts.path, "/none"), StoreError, 'database "none" does not exist'


def test_what_keeps_it_from_connecting_is_told_without_the_password(store_url):
    for url, kind, words in addresses(store_url):
        store = Store(url, "shop")
        with pytest.raises(kind, match=words) as failed:
            asyncio.run(store.open(upgrade=False))
        told, error = [repr(store)], failed.value
        while error is not None:
            told.append(f"{error} {error!r}")
            error = error.__cause__ or error.__context__
        assert not [each for each in told if "hush" in each or f":{urlsplit(store_url).password}@" in each]


def test_a_database_that_is_killed_is_unavailable_and_used_again_once_it_is_back(new_postgresql):
    server = new_postgresql()

    async def scenario():
        async with opened(Store(server.url, "shop")) as store:
            await put(store, message("1"))
            await asyncio.to_thread(server.kill)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await store.waiting()
            await asyncio.to_thread(server.start)
            assert await pending(store) == ["1"]

    asyncio.run(scenario())


def test_a_database_that_does_not_answer_is_unavailable_in_time_and_used_again_after(new_postgresql):
    server = new_postgresql()

    async def scenario():
        async with opened(Store(server.url, "shop", seconds=0.5, connections=2)) as store:
            await put(store, message("1"))
            await asyncio.to_thread(server.pause)
            outcomes = await asyncio.gather(*(store.waiting() for _ in range(3)), return_exceptions=True)
            assert {type(each) for each in outcomes} == {StoreUnavailable}
            await asyncio.to_thread(server.unpause)

            async def back():
                try:
                    return await pending(store) == ["1"]
                except StoreUnavailable:
                    return False

            await until(back)

    asyncio.run(scenario())
