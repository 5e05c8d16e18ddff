"""The store on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from busbridge.errors import StoreContention, StoreError, StoreUnavailable
from busbridge.store import Store, _inline_sqlite, _sqlite
from tests.store import cases
from tests.store.helpers import execute, in_loop, key, message, opened, pending, put, row


class TestTransactions(cases.Transactions): ...


class TestInboxes(cases.Inboxes): ...


class TestOutboxes(cases.Outboxes): ...


class TestLeases(cases.Leases): ...


class TestTimers(cases.Timers): ...


class TestParkings(cases.Parkings): ...


class TestSchemas(cases.Schemas): ...


def _parameters(sql):
    return 3 if "?1" in sql else sql.count("?")


async def driver_of(transaction):
    return (await transaction.connection.get_raw_connection()).driver_connection


@in_loop
async def test_a_commit_is_on_the_disk_when_it_returns(new_store):
    async with opened(new_store()) as store:
        assert await execute(store, "PRAGMA synchronous") == [(2,)]
        assert await execute(store, "PRAGMA journal_mode") == [("wal",)]


@in_loop
async def test_the_relays_commits_need_not_be_on_the_disk_and_all_others_are_whatever_connection_they_get(new_store):
    """A power failure would have it publish once more. Nor is anything written back in its commits: that takes time."""
    async with opened(new_store()) as store:
        for first in (True, False, True, True, False):
            async with store.transaction(first=first) as transaction:
                pragmas = [
                    (await transaction.connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                    for name in ("synchronous", "wal_autocheckpoint")
                ]
            assert pragmas == ([1, 0] if first else [2, 1000])


WITHIN = {"SCAN CONSTANT ROW", "SCAN wanted", "SCAN (subquery-1)"}
"""Steps through what a statement brings itself, or has found."""


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (_sqlite._READ_INBOX.format(wanted="(?, ?, ?, ?)"), {"sqlite_autoindex_busbridge_inbox_1"}),
        (_sqlite._CLEAN, {"busbridge_inbox_changed"}),
        (_sqlite._PENDING.format(slots="1, 2", without=""), {"busbridge_outbox_pending", "busbridge_outbox_failed"}),
        (_sqlite._BACKLOG, {"busbridge_outbox_pending"}),
        (_sqlite._DUE.format(places="?3"), {"busbridge_timers_due"}),
    ],
)
@in_loop
async def test_no_statement_reads_a_whole_table(new_store, sql, indexes):
    async with opened(new_store()) as store, store.transaction() as transaction:
        steps = (await driver_of(transaction)).execute(f"EXPLAIN QUERY PLAN {sql}", [1] * _parameters(sql))
        told = [each[3] for each in steps if each[3].startswith(("SEARCH", "SCAN"))]
    assert not [each for each in told if each.startswith("SCAN") and each not in WITHIN]
    assert indexes <= {word for each in told for word in each.split()}


@in_loop
async def test_a_file_that_can_have_no_log_is_refused(tmp_path):
    store = Store(f"sqlite:///file:{tmp_path}/shop.db?vfs=unix-none&uri=true", "shop")
    with pytest.raises(StoreError, match="journal_mode is delete"):
        await store.open(upgrade=True)
    await store.close()


@in_loop
async def test_a_store_in_memory_lasts_as_long_as_the_store():
    async with opened(Store("sqlite://", "shop")) as store:
        await put(store, message("1"))
        assert await pending(store) == ["1"]


@in_loop
async def test_statements_run_on_the_loops_thread_and_the_loop_runs_while_a_commit_does(new_store):
    threads, loop_ran = {}, threading.Event()

    def traced(statement):
        verb = statement.split()[0]
        threads[verb] = threading.get_ident()
        assert verb != "COMMIT" or loop_ran.wait(10), "the loop stood still"

    async with opened(new_store()) as store:
        async with store.transaction() as transaction:
            driver = await driver_of(transaction)
            driver.set_trace_callback(traced)
            await transaction.connection.execute(text("SELECT 1"))
            await transaction.put_inbox([row("1")])
            asyncio.get_running_loop().call_later(0.01, loop_ran.set)
        driver.set_trace_callback(None)
    assert threads["SELECT"] == threads["INSERT"] == threading.get_ident() != threads["COMMIT"]


@in_loop
async def test_a_cancellation_during_commit_waits_for_it(new_store):
    committing, go_on = threading.Event(), threading.Event()

    def traced(statement):
        if statement == "COMMIT":
            committing.set()
            go_on.wait(10)

    async with opened(new_store()) as store:

        async def write():
            async with store.transaction() as transaction:
                (await driver_of(transaction)).set_trace_callback(traced)
                await transaction.put_inbox([row("1")])

        task = asyncio.create_task(write())
        await asyncio.to_thread(committing.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with store.transaction() as transaction:
            assert await transaction.inbox([key("1")])


@in_loop
async def test_a_writer_of_another_process_is_waited_for_while_the_loop_runs(new_store, tmp_path):
    async with opened(new_store()) as store:
        other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(put(store, message("1")))
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert not task.done()
        other.execute("COMMIT")
        other.close()
        await task
        assert await pending(store) == ["1"]


@in_loop
async def test_a_writer_of_another_process_that_does_not_end_is_contention(new_store, tmp_path, monkeypatch):
    monkeypatch.setattr(_inline_sqlite, "_BUSY_SECONDS", 0.01)
    async with opened(new_store()) as store:
        other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreContention, match="locked"):
            await put(store, message("1"))
        other.close()
        await put(store, message("2"))


@in_loop
async def test_a_transaction_inside_another_of_the_same_task_is_refused(new_store):
    async with opened(new_store()) as store:
        async with store.transaction():
            with pytest.raises(StoreError, match="would wait for itself"):
                await store.waiting()
        await store.waiting()


@in_loop
async def test_nothing_is_committed_after_sqlite_ended_the_transaction_by_itself(new_store):
    """INSERT OR ROLLBACK, a full disk: every later statement would be committed at once, without the earlier ones."""
    async with opened(new_store()) as store:
        await execute(store, "CREATE TABLE shelves (item TEXT PRIMARY KEY)")
        await execute(store, "INSERT INTO shelves VALUES ('book')")

        async def lost(then):
            async with store.transaction() as transaction:
                await transaction.savepoint()
                await transaction.connection.execute(text("INSERT INTO shelves VALUES ('lamp')"))
                with pytest.raises(DBAPIError):
                    await transaction.connection.execute(text("INSERT OR ROLLBACK INTO shelves VALUES ('book')"))
                await then(transaction)

        async def nothing(transaction): ...

        for then in (lambda it: it.release(), lambda it: it.put_inbox([row("1")]), nothing):
            with pytest.raises(StoreError, match="rolled the transaction back"):
                await lost(then)
        assert await execute(store, "SELECT item FROM shelves") == [("book",)]
        assert await execute(store, "SELECT * FROM busbridge_inbox") == []


@in_loop
async def test_a_session_of_the_users_is_in_the_transaction(new_store):
    async with opened(new_store()) as store:
        await execute(store, "CREATE TABLE shelves (item TEXT PRIMARY KEY)")
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as transaction:
                session = AsyncSession(transaction.connection, join_transaction_mode="rollback_only")
                await session.execute(text("INSERT INTO shelves VALUES ('book')"))
                assert (await session.execute(text("SELECT count(*) FROM shelves"))).scalar_one() == 1
                raise ZeroDivisionError
        assert await execute(store, "SELECT item FROM shelves") == []


@in_loop
async def test_a_result_that_nobody_reads_keeps_no_writer_out(new_store, monkeypatch):
    """It would keep the snapshot that it reads, and no later transaction could write after another process has."""
    monkeypatch.setattr(_inline_sqlite, "_BUSY_SECONDS", 0.01)
    async with opened(new_store(), new_store()) as (store, other):
        await put(store, message("1"), message("2"))
        async with store.transaction() as transaction:
            unread = await transaction.connection.execute(text("SELECT message_id FROM busbridge_outbox"))
        await put(other, message("3"))
        await put(store, message("4"))
        assert await pending(store) == ["1", "2", "3", "4"]
        assert unread is not None


@in_loop
async def test_rows_come_one_by_one_in_parts_and_from_statements_that_write(new_store):
    async with opened(new_store()) as store, store.transaction() as transaction:
        connection = transaction.connection
        numbers = text(
            "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 7) SELECT n FROM up"
        )
        result = await connection.execute(numbers)
        assert (result.fetchone(), result.fetchmany(2), [tuple(each) for each in result]) == (
            (1,),
            [(2,), (3,)],
            [(4,), (5,), (6,), (7,)],
        )
        await connection.execute(text("CREATE TABLE shelves (id INTEGER PRIMARY KEY, item TEXT)"))
        back = await connection.execute(text("INSERT INTO shelves (item) VALUES ('a'), ('b') RETURNING id"))
        assert (back.scalars().all(), back.rowcount) == ([1, 2], 2)
        changed = await connection.execute(text("UPDATE shelves SET item = 'c'"))
        assert changed.rowcount == 2


@in_loop
async def test_a_connection_to_another_database_is_told_apart(new_store, tmp_path):
    async with opened(new_store()) as store:
        for name, same in (("shop.db", True), ("other.db", False)):
            engine = create_engine(f"sqlite:///{tmp_path / name}")
            with engine.begin() as connection:
                assert store.is_in(connection) is same
                if same:
                    store.insert_outbox(connection, [message("1")])
            engine.dispose()
        assert await pending(store) == ["1"]


@in_loop
async def test_looking_at_a_store_makes_no_file(new_store, tmp_path):
    store = new_store()
    assert (await store.check()).found is None
    await store.close()
    assert list(tmp_path.iterdir()) == []


@in_loop
async def test_a_folder_that_is_not_there_is_told_and_the_store_works_once_it_is(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/missing/shop.db", "shop")
    with pytest.raises(StoreUnavailable, match=r"missing/shop\.db is unavailable: unable to open"):
        await store.open(upgrade=True)
    (tmp_path / "missing").mkdir()
    async with opened(store):
        await store.waiting()


@in_loop
async def test_a_file_that_is_no_database_is_a_store_error(new_store, tmp_path):
    (tmp_path / "shop.db").write_bytes(b"no database" * 100)
    store = new_store()
    with pytest.raises(StoreError, match="not a database"):
        await store.open(upgrade=True)
    await store.close()


def test_a_store_shows_its_service_and_file(new_store, tmp_path):
    assert repr(new_store()) == f"<Store of shop in SQLite {tmp_path / 'shop.db'}>"


@pytest.mark.parametrize(
    "url", ["mysql://root:secret@host/db", "secret", "postgresql://u:secret@host:port/db", "sqlite://secret@host/db"]
)
def test_a_url_that_can_not_be_used_is_told_without_its_password(url):
    with pytest.raises(StoreError) as failed:
        asyncio.run(Store(url, "shop").open(upgrade=True))
    told = [failed.value]
    while told[-1].__cause__ or told[-1].__context__:
        told.append(told[-1].__cause__ or told[-1].__context__)
    assert not [each for each in told if "secret" in f"{each} {each!r}"]
