"""What a store does on every database: collected by `test_sqlite.py` here and by `integration/store/`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from subprocess import PIPE, STDOUT

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from busbridge.errors import ClosedError, HandlerError, StoreContention, StoreError, StoreOutdated
from busbridge.store import SLOTS, InboxState, Trouble
from busbridge.store._migrations import upgrade
from tests.store.helpers import (
    ALL_SLOTS,
    PLACE,
    execute,
    in_loop,
    key,
    message,
    opened,
    parked,
    pending,
    put,
    row,
    timer,
    until,
)

BUSINESS = "CREATE TABLE shelves (item TEXT PRIMARY KEY)"
TAKE = text("INSERT INTO shelves VALUES (:item)")


class Transactions:
    @in_loop
    async def test_everything_of_a_transaction_is_there_after_it(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)
            async with store.transaction() as transaction:
                await transaction.connection.execute(TAKE, {"item": "book"})
                await transaction.put_inbox([row("1")])
                await transaction.put_outbox([message("2")])
                await transaction.put_timers([timer("3", await transaction.now())])
            async with store.transaction() as transaction:
                assert await transaction.inbox([key("1"), key("none")]) == {key("1"): row("1")}
            assert await execute(store, "SELECT item FROM shelves") == [("book",)]
            assert await pending(store) == ["2"]
            assert [each.id for each in await store.claim_timers([PLACE], "me", 9, 9)] == ["3"]

    @in_loop
    async def test_nothing_is_there_when_an_exception_left_the_block_which_goes_through(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)
            with pytest.raises(ZeroDivisionError):
                async with store.transaction() as transaction:
                    await transaction.connection.execute(TAKE, {"item": "book"})
                    await transaction.put_inbox([row("1")])
                    await transaction.put_outbox([message("2")])
                    raise ZeroDivisionError
            assert await execute(store, "SELECT item FROM shelves") == []
            assert await execute(store, "SELECT * FROM busbridge_inbox") == []
            assert await pending(store) == []

    @in_loop
    async def test_a_statement_that_would_end_the_transaction_is_refused_and_savepoints_are_not(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, "CREATE TABLE shelves (item TEXT)")
            async with store.transaction() as transaction:
                connection = transaction.connection
                await connection.execute(text("SAVEPOINT mine"))
                await connection.execute(text("INSERT INTO shelves VALUES ('gone')"))
                for sql in ("ROLLBACK TO SAVEPOINT mine", "RELEASE mine"):
                    await connection.execute(text(sql))
                await connection.execute(text("INSERT INTO shelves VALUES ('book')"))
                for sql in ("COMMIT", " /* a note */ rollback", "-- a note\nEND", "BEGIN"):
                    with pytest.raises(HandlerError, match="is not yours to execute"):
                        await connection.execute(text(sql))
            assert await execute(store, "SELECT item FROM shelves") == [("book",)]

    @in_loop
    async def test_a_savepoint_as_first_statement_goes_with_the_transaction(self, new_store):
        """Drivers that begin late make its RELEASE a COMMIT (T13)."""
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)
            with pytest.raises(ZeroDivisionError):
                async with store.transaction() as transaction:
                    await transaction.savepoint()
                    await transaction.connection.execute(TAKE, {"item": "book"})
                    await transaction.release()
                    raise ZeroDivisionError
            assert await execute(store, "SELECT item FROM shelves") == []

    @in_loop
    async def test_messages_of_a_batch_are_undone_one_by_one(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)
            async with store.transaction() as transaction:
                for item in ("book", "lamp", "pen"):
                    await transaction.savepoint()
                    await transaction.connection.execute(TAKE, {"item": item})
                    if item == "lamp":
                        await transaction.rollback_to()
                    await transaction.release()
            assert await execute(store, "SELECT item FROM shelves ORDER BY item") == [("book",), ("pen",)]

    @in_loop
    async def test_a_failed_statement_is_undone_and_tried_again_within_one_savepoint(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)
            await execute(store, "INSERT INTO shelves VALUES ('book')")
            async with store.transaction() as transaction:
                await transaction.savepoint()
                with pytest.raises(DBAPIError):
                    await transaction.connection.execute(TAKE, {"item": "book"})
                await transaction.rollback_to()
                await transaction.connection.execute(TAKE, {"item": "lamp"})
                await transaction.release()
            assert await execute(store, "SELECT item FROM shelves ORDER BY item") == [("book",), ("lamp",)]

    @in_loop
    async def test_a_cancelled_transaction_rolls_back_and_gives_its_connection_back(self, new_store):
        async with opened(new_store(connections=1)) as store:
            await execute(store, BUSINESS)
            inside = asyncio.Event()

            async def stuck():
                async with store.transaction() as transaction:
                    await transaction.connection.execute(TAKE, {"item": "book"})
                    inside.set()
                    await asyncio.Event().wait()

            for _ in range(3):
                task = asyncio.create_task(stuck())
                await inside.wait()
                inside.clear()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await execute(store, "SELECT item FROM shelves") == []

    @in_loop
    async def test_sixteen_lanes_that_wait_in_their_transactions_all_commit(self, new_store):
        """Eleven of sixteen saw `database is locked` where each began as a reader (T13)."""
        async with opened(new_store()) as store:
            await execute(store, BUSINESS)

            async def lane(number):
                async with store.transaction() as transaction:
                    await transaction.inbox([key(str(number))])
                    await asyncio.sleep(0.001)
                    await transaction.connection.execute(TAKE, {"item": str(number)})
                    await transaction.put_inbox([row(str(number))])

            await asyncio.gather(*(lane(number) for number in range(16)))
            assert await execute(store, "SELECT count(*) FROM shelves") == [(16,)]

    @in_loop
    async def test_stores_of_several_processes_wait_for_each_other(self, new_store):
        async with opened(new_store(), new_store()) as stores:

            async def lane(store, number):
                async with store.transaction() as transaction:
                    await transaction.put_inbox([row(f"{number}")])
                    await asyncio.sleep(0.001)

            await asyncio.gather(*(lane(stores[number % 2], number) for number in range(16)))
            assert await execute(stores[0], "SELECT count(*) FROM busbridge_inbox") == [(16,)]

    @in_loop
    async def test_the_clock_runs_and_is_that_of_the_database(self, new_store):
        async with opened(new_store()) as store, store.transaction() as transaction:
            first = await transaction.now()
            await asyncio.sleep(0.001)
            assert 0 < await transaction.now() - first < 10

    @in_loop
    async def test_a_transaction_ends_well_in_a_store_that_is_closed_meanwhile(self, new_store):
        async with opened(new_store(), new_store()) as (store, other):
            async with store.transaction() as transaction:
                await transaction.put_inbox([row("1")])
                await store.close()
            assert await execute(other, "SELECT message_id FROM busbridge_inbox") == [("1",)]

    @in_loop
    async def test_what_no_database_raised_is_not_taken_for_its_absence(self, new_store):
        """A handler's own HTTP client raises the same ConnectionError as a driver."""
        async with opened(new_store()) as store:
            for error in (ConnectionRefusedError("gateway"), TimeoutError(), ValueError("1")):
                assert store.told(error) is None

    @in_loop
    async def test_a_closed_store_says_so(self, new_store):
        async with opened(new_store()) as store:
            pass
        await store.close()
        with pytest.raises(ClosedError, match="Store of shop"):
            await store.waiting()


class Inboxes:
    @in_loop
    async def test_a_row_is_replaced_by_what_is_put_last(self, new_store):
        async with opened(new_store()) as store:
            last = row("1", InboxState.DEAD, 3, crashes=2, redrive="r1")
            async with store.transaction() as transaction:
                await transaction.put_inbox([row("1", InboxState.RUNNING, 0), row("1", InboxState.SCHEDULED)])
            async with store.transaction() as transaction:
                assert await transaction.inbox([key("1")]) == {key("1"): row("1", InboxState.SCHEDULED)}
                await transaction.put_inbox([last, row("2")])
            async with store.transaction() as transaction:
                assert await transaction.inbox([key("2"), key("1")]) == {key("1"): last, key("2"): row("2")}

    @in_loop
    async def test_every_part_of_the_key_tells_messages_apart(self, new_store):
        """Two sources may use one id; two handlers and a replay have their own effects (T2, T19)."""
        others = [{"place": "shop.orders/other"}, {"source": "billing"}, {"message_id": "2"}, {"run": "replay-1"}]
        async with opened(new_store()) as store:
            async with store.transaction() as transaction:
                await transaction.put_inbox([row("1")])
            async with store.transaction() as transaction:
                assert await transaction.inbox([key(**{"message_id": "1"} | other) for other in others]) == {}

    @in_loop
    async def test_a_message_that_another_transaction_had_meanwhile_is_contention(self, new_store):
        """Both saw no row: the second one would do every effect again."""
        async with opened(new_store(), new_store()) as (one, other):
            await execute(one, BUSINESS)
            begun, go_on, seen = asyncio.Event(), asyncio.Event(), []

            async def late():
                async with other.transaction() as transaction:
                    seen.append(await transaction.inbox([key("1")]))
                    begun.set()
                    await go_on.wait()
                    await transaction.connection.execute(TAKE, {"item": "book"})
                    await transaction.put_inbox([row("1")])

            async with one.transaction() as transaction:
                await transaction.inbox([key("1")])
                task = asyncio.create_task(late())
                if transaction.connection.dialect.name == "postgresql":
                    await begun.wait()
                await transaction.put_inbox([row("1")])
            go_on.set()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            duplicate = seen == [{key("1"): row("1")}]  # a database with one writer shows it the row at once
            assert duplicate or isinstance(outcome, StoreContention)
            assert len(await execute(one, "SELECT item FROM shelves")) == duplicate

    @in_loop
    async def test_cleaning_deletes_what_ended_before_the_window_and_nothing_else(self, new_store):
        async with opened(new_store(), new_store("billing")) as (store, other):
            for each in (store, other):
                async with each.transaction() as transaction:
                    prefix = each.service
                    await transaction.put_inbox([row(f"{prefix}-{state}", state) for state in InboxState])
                    await transaction.put_inbox([row(f"{prefix}-new")])
            await execute(store, "UPDATE busbridge_inbox SET changed = changed - 100 WHERE message_id NOT LIKE '%new'")
            assert await store.clean(200) == 0
            assert await store.clean(50) == 2
            left = await execute(store, "SELECT message_id FROM busbridge_inbox WHERE service = 'shop'")
            assert {each for (each,) in left} == {"shop-running", "shop-scheduled", "shop-blocked", "shop-new"}
            assert await execute(store, "SELECT count(*) FROM busbridge_inbox WHERE service = 'billing'") == [(6,)]

    @in_loop
    async def test_cleaning_lets_others_in_between_its_batches(self, new_store):
        async with opened(new_store()) as store:
            async with store.transaction() as transaction:
                await transaction.put_inbox([row(f"{number}") for number in range(2500)])
            await execute(store, "UPDATE busbridge_inbox SET changed = 0")
            cleaning = asyncio.create_task(store.clean(3600))
            seen = set()
            while not cleaning.done():
                seen.update(await execute(store, "SELECT count(*) FROM busbridge_inbox"))
            assert await cleaning == 2500
            assert seen & {(1500,), (500,)}


class Outboxes:
    @in_loop
    async def test_rows_come_in_the_order_of_insertion_as_they_were_put(self, new_store):
        async with opened(new_store()) as store:
            await put(store, message("1"), message("2", key=None))
            await put(store, message("3", slot=5))
            rows = await store.pending(ALL_SLOTS, 2)
            assert [each._replace(id=0) for each in rows] == [message("1"), message("2", key=None)]
            assert rows[0].id < rows[1].id
            assert [each.message_id for each in await store.pending([5], 9)] == ["3"]
            assert await store.pending([], 9) == []

    @in_loop
    async def test_sent_rows_are_gone(self, new_store):
        async with opened(new_store()) as store:
            await put(store, message("1"), message("2"))
            rows = await store.pending(ALL_SLOTS, 9)
            await store.sent([rows[0].id])
            assert await pending(store) == ["2"]

    @in_loop
    async def test_what_a_transaction_says_of_its_ids_is_so_or_nothing(self, new_store):
        """Also of one that others, and one that was rolled back, came before."""
        async with opened(new_store()) as store:
            told = []
            for batch in ((message("1"), message("2")), (message("3"),)):
                async with store.transaction() as transaction:
                    told.append(await transaction.put_outbox(batch))
                with suppress(RuntimeError):
                    async with store.transaction() as transaction:
                        await transaction.put_outbox([message("undone")])
                        raise RuntimeError
            first, second, third = (each.id for each in await store.pending(ALL_SLOTS, 9))
            assert told in ([second, third], [None, None])
            assert told[0] is None or (first, third) == (second - 1, second + 1), "or a gap would mean nothing"

    @in_loop
    async def test_a_look_names_the_newest_row_only_where_it_has_found_everything(self, new_store):
        async with opened(new_store()) as store, opened(new_store("other")) as other:
            await put(store, message("1"), message("2", slot=5))
            await put(other, message("theirs"))
            rows, newest = await store.look(ALL_SLOTS, 9)
            if newest is None:  # ids of this database say nothing about commits
                return
            assert newest == rows[-1].id + 1, "that of the other service: who comes next must not take it for its own"
            assert (await store.look([5], 9)).newest is None
            assert (await store.look(ALL_SLOTS, 1)).newest is None
            assert (await store.look(ALL_SLOTS, 9, ["orders"])).newest is None
            assert await store.look(ALL_SLOTS, 9, sent=[each.id for each in rows]) == ([], newest)
            await put(store, message("3"))
            await store.failed([Trouble((await store.pending(ALL_SLOTS, 1))[0].id, "refused", 0)])
            assert (await store.look(ALL_SLOTS, 9)).newest is None

    @in_loop
    async def test_an_id_is_never_given_twice(self, new_store):
        """Or a relay that is late with `sent` deletes a message that nobody has published."""
        async with opened(new_store()) as store:
            await put(store, message("1"))
            (first,) = await store.pending(ALL_SLOTS, 9)
            await store.sent([first.id])
            await put(store, message("2"))
            await store.sent([first.id])
            assert await pending(store) == ["2"]

    @pytest.mark.parametrize("seconds", [3600, None], ids=["failed", "parked"])
    @in_loop
    async def test_a_row_that_waits_holds_the_later_ones_of_its_key_and_destination_alone(self, new_store, seconds):
        """T15. The earlier ones are not held, nor is what has no key."""
        async with opened(new_store()) as store:
            await put(store, message("earlier"), message("first"), message("later"), message("other", key="order-2"))
            await put(store, message("elsewhere", destination="log"), message("a", key=None), message("b", key=None))
            rows = {each.message_id: each.id for each in await store.pending(ALL_SLOTS, 9)}
            for each in ("first", "a"):
                await store.failed([Trouble(rows[each], "refused", seconds)])
            assert await pending(store) == ["earlier", "other", "elsewhere", "b"]

    @in_loop
    async def test_a_failed_row_comes_again_when_its_time_has_come_with_its_attempts(self, new_store):
        async with opened(new_store()) as store:
            await put(store, message("1"), message("2"))
            first = (await store.pending(ALL_SLOTS, 9))[0]
            await store.failed([Trouble(first.id, "no answer", 3600)])
            assert await pending(store) == []
            await execute(store, "UPDATE busbridge_outbox SET due = 1 WHERE message_id = '1'")
            assert [(each.message_id, each.attempts) for each in await store.pending(ALL_SLOTS, 9)] == [
                ("1", 1),
                ("2", 0),
            ]

    @in_loop
    async def test_rows_are_read_without_the_destinations_that_are_not_wanted(self, new_store):
        async with opened(new_store()) as store:
            await put(store, message("1", destination="a"), message("2", destination="b"))
            assert await pending(store, without=["a"]) == ["2"]

    @in_loop
    async def test_what_waits_is_counted(self, new_store):
        async with opened(new_store()) as store:
            assert await store.waiting() == (0, 0, None)
            await put(store, message("1"), message("2", key=None), message("3", key=None))
            await store.failed([Trouble((await store.pending(ALL_SLOTS, 1))[0].id, "refused", None)])
            await execute(store, "UPDATE busbridge_outbox SET created = created - 60 WHERE message_id = '2'")
            found = await store.waiting()
            assert (found.pending, found.parked) == (2, 1)
            assert found.oldest == pytest.approx(60, abs=20)

    @in_loop
    async def test_a_backlog_is_counted_up_to_a_number_without_what_is_parked_or_anothers(self, new_store):
        async with opened(new_store(), new_store("billing")) as (store, other):
            assert await store.backlog(9) == 0
            await put(store, *(message(str(number), key=None) for number in range(5)))
            await put(other, message("9"))
            await store.failed([Trouble((await store.pending(ALL_SLOTS, 1))[0].id, "refused", None)])
            assert [await store.backlog(most) for most in (3, 4, 5)] == [3, 4, 4]

    @in_loop
    async def test_services_share_a_database_and_see_their_own_rows(self, new_store):
        async with opened(new_store(), new_store("billing")) as (store, other):
            await put(store, message("1"))
            await put(other, message("2"))
            assert (await pending(store), await pending(other)) == (["1"], ["2"])
            assert (await other.waiting()).pending == 1
            assert await store.lease("a", 60) == await other.lease("b", 60) == frozenset(ALL_SLOTS)

    @in_loop
    async def test_rows_go_in_through_a_connection_of_the_users_own(self, new_store):
        async with opened(new_store()) as store:
            async with store.transaction() as transaction:
                assert await transaction.connection.run_sync(store.is_in)
                await transaction.connection.run_sync(store.insert_outbox, [message("1"), message("2")])
            rows = await store.pending(ALL_SLOTS, 9)
            assert [each._replace(id=0) for each in rows] == [message("1"), message("2")]
            assert (await store.waiting()).oldest == pytest.approx(0, abs=20)


class Leases:
    @pytest.mark.parametrize(("owners", "shares"), [(1, {16}), (2, {8}), (3, {5, 6}), (16, {1}), (20, {0, 1})])
    @in_loop
    async def test_owners_come_to_fair_shares_of_all_slots(self, new_store, owners, shares):
        async with opened(new_store()) as store:
            held = {}
            for _ in range(2):  # one round to give up, one to take
                for number in range(owners):
                    held[number] = await store.lease(f"relay-{number}", 60)
            assert {len(each) for each in held.values()} == shares
            assert sorted(slot for each in held.values() for slot in each) == list(range(SLOTS))

    @in_loop
    async def test_nobody_has_what_another_one_holds(self, new_store):
        async with opened(new_store(), new_store()) as (one, other):
            held = {}
            for _ in range(3):
                for name, store in (("a", one), ("b", other), ("c", one)):
                    held[name] = await store.lease(name, 60)
                    taken = [slot for each in held.values() for slot in each]
                    assert len(taken) == len(set(taken))

    @in_loop
    async def test_a_lease_is_renewed_with_the_same_slots(self, new_store):
        async with opened(new_store()) as store:
            await store.lease("a", 60)
            await store.lease("b", 60)
            held = [await store.lease("a", 60) for _ in range(3)]
            assert len(set(held)) == 1

    @in_loop
    async def test_what_has_expired_is_taken_over_and_not_given_back(self, new_store):
        async with opened(new_store()) as store:
            await store.lease("gone", 0.1)

            async def taken():
                return len(await store.lease("heir", 60)) == SLOTS

            await until(taken)
            back = await store.lease("gone", 60)
            assert back == frozenset(), "the heir holds them until it calls again"

    @in_loop
    async def test_two_that_call_at_once_get_different_slots(self, new_store):
        async with opened(new_store(), new_store()) as (one, other):
            for _ in range(3):
                first, second = await asyncio.gather(one.lease("a", 60), other.lease("b", 60))
                assert not first & second
            assert (len(first), len(second)) == (8, 8)

    @in_loop
    async def test_what_is_released_is_free_at_once(self, new_store):
        async with opened(new_store()) as store:
            await store.lease("a", 60)
            await store.release("a")
            assert await store.lease("b", 60) == frozenset(ALL_SLOTS)


class Timers:
    @in_loop
    async def test_due_timers_are_claimed_once_by_whoever_calls_first(self, new_store):
        async with opened(new_store(), new_store()) as (one, other):
            async with one.transaction() as transaction:
                now = await transaction.now()
                await transaction.put_timers([timer(str(number), now - number) for number in range(20)])
            claims = await asyncio.gather(
                *(store.claim_timers([PLACE], store.service, 7, 60) for store in (one, other, one, other))
            )
            claimed = [each.id for claim in claims for each in claim]
            assert max(map(len, claims)) == 7
            assert len(claimed) == len(set(claimed)) > 7
            rest = await one.claim_timers([PLACE], "me", 20, 60)
            assert sorted([*claimed, *(each.id for each in rest)]) == sorted(map(str, range(20)))

    @in_loop
    async def test_a_claim_gives_whole_timers_that_are_due_here_the_earliest_first(self, new_store):
        async with opened(new_store()) as store:
            async with store.transaction() as transaction:
                now = await transaction.now()
                due = [timer("b", now - 1), timer("a", now - 2)]
                await transaction.put_timers([*due, timer("c", now + 3600), timer("d", now, "shop.orders/other")])
            assert await store.claim_timers([], "me", 9, 60) == []
            assert await store.claim_timers([PLACE], "me", 9, 60) == due[::-1]

    @in_loop
    async def test_a_claim_that_ran_out_is_anothers(self, new_store):
        async with opened(new_store()) as store:
            async with store.transaction() as transaction:
                await transaction.put_timers([timer("a", await transaction.now())])
            assert len(await store.claim_timers([PLACE], "gone", 9, 0.1)) == 1

            async def claimed():
                return len(await store.claim_timers([PLACE], "heir", 9, 60)) == 1

            await until(claimed)

    @in_loop
    async def test_a_timer_that_is_put_again_is_claimed_by_nobody(self, new_store):
        async with opened(new_store()) as store:
            for attempt in (1, 2):
                async with store.transaction() as transaction:
                    again = timer("a", await transaction.now())._replace(attempt=attempt)
                    await transaction.put_timers([again])
                assert [each.attempt for each in await store.claim_timers([PLACE], "me", 9, 3600)] == [attempt]

    @in_loop
    async def test_dropping_says_how_many_were_there(self, new_store):
        async with opened(new_store()) as store, store.transaction() as transaction:
            await transaction.put_timers([timer("a", 0), timer("b", 0)])
            assert await transaction.drop_timers(["a", "none"]) == 1
            assert await transaction.drop_timers(["a"]) == 0
            assert await transaction.drop_timers([]) == 0

    @in_loop
    async def test_what_is_taken_is_due_gone_and_in_the_order_of_its_time(self, new_store):
        async with opened(new_store()) as store, store.transaction() as transaction:
            now = await transaction.now()
            due = [timer("b", now - 1), timer("c", now - 2), timer("a", now - 1)]
            await transaction.put_timers([*due, timer("d", now + 3600), timer("e", now, "shop.orders/other")])
            assert [each.id for each in await transaction.take_timers(PLACE, 2)] == ["c", "a"]
            assert await transaction.take_timers(PLACE, 2) == due[:1]
            assert await transaction.take_timers(PLACE, 2) == []
            assert await transaction.next_due(PLACE) == pytest.approx(now + 3600)
            assert await transaction.next_due("shop.orders/nobody") is None

    @in_loop
    async def test_timers_are_listed_counted_and_brought_forward_by_service(self, new_store):
        async with opened(new_store(), new_store("other")) as (store, other):
            for each in (store, other):
                async with each.transaction() as transaction:
                    now = await transaction.now()
                    ids = [f"{each.service} {number}" for number in range(3)]
                    await transaction.put_timers([timer(name, now + 3600) for name in ids])
            assert [each.id for each in await store.timers(2)] == ["shop 0", "shop 1"]
            assert await store.timers(9, "shop.orders/nobody") == []
            ((place, waiting, earliest),) = await store.waiting_timers()
            assert (place, waiting, earliest) == (PLACE, 3, pytest.approx(now + 3600, abs=10))
            await store.advance_timers(3600)
            taken = await store.claim_timers([PLACE], "me", 9, 60)
            assert sorted(each.id for each in taken) == ["shop 0", "shop 1", "shop 2"]

    @in_loop
    async def test_a_users_own_connection_puts_timers_by_the_databases_clock(self, new_store):
        async with opened(new_store()) as store:
            for body in (b"old", b"new"):
                async with store.transaction() as transaction:
                    connection = transaction.connection
                    rows = lambda now, body=body: [timer("a", now + 60)._replace(body=body)]  # noqa: E731
                    await connection.run_sync(store.insert_timers, rows)
                    now = await transaction.now()
            (found,) = await store.timers(9)
            assert (found.body, found.due) == (b"new", pytest.approx(now + 60, abs=10))


class Parkings:
    @in_loop
    async def test_messages_of_a_parked_key_come_one_after_another_in_their_order(self, new_store):
        async with opened(new_store()) as store:
            lines = [parked("a", 1), parked("b", 1), parked("a", 2)]
            async with store.transaction() as transaction:
                await transaction.put_parked(lines)
                await transaction.put_parked([parked("a", 3), parked("a", 4, subscription="shop.other")])
            async with store.transaction() as transaction:
                assert await transaction.parked("shop.orders", ["a", "b", "c"]) == {"a", "b"}
                assert await transaction.parked("shop.orders", []) == frozenset()
                assert await transaction.next_parked("shop.orders", "b") is None
                assert await transaction.next_parked("shop.orders", "a") == parked("a", 2)
            async with store.transaction() as transaction:
                assert await transaction.next_parked("shop.orders", "a") == parked("a", 3)
                assert await transaction.next_parked("shop.orders", "a") is None
                assert await transaction.next_parked("shop.orders", "a") is None
                assert await transaction.parked("shop.orders", ["a", "b"]) == frozenset()
                assert await transaction.parked("shop.other", ["a"]) == {"a"}

    @in_loop
    async def test_what_joins_a_line_that_is_about_to_end_is_not_left_in_it(self, new_store):
        """Else it would stand there with nobody before it, and nobody to bring it."""
        async with opened(new_store(), new_store()) as (one, other):
            await self.put(one, parked("a", 1))
            async with one.transaction() as transaction:
                assert await transaction.parked("shop.orders", ["a"]) == {"a"}
                ending = asyncio.create_task(self.end(other))
                assert not (await asyncio.wait([ending], timeout=0.2))[0], "it waits until the line has what joins it"
                await transaction.put_parked([parked("a", 2)])
            assert await ending == parked("a", 2)

    @in_loop
    async def test_a_line_that_ends_meanwhile_is_not_joined(self, new_store):
        """Else a message that the line still has would be overtaken by one that found it ended, or the other way."""
        async with opened(new_store(), new_store()) as (one, other):
            for last in (1, 2):
                await self.put(one, *(parked("a", number) for number in range(1, last + 1)))
                async with one.transaction() as transaction:
                    await transaction.next_parked("shop.orders", "a")
                    looking = asyncio.create_task(self.look(other))
                    assert not (await asyncio.wait([looking], timeout=0.2))[0], "it waits until that is known"
                assert await looking == ({"a"} if last > 1 else frozenset())
                await self.end(one)

    async def put(self, store, *rows):
        async with store.transaction() as transaction:
            await transaction.put_parked(rows)

    async def end(self, store):
        async with store.transaction() as transaction:
            return await transaction.next_parked("shop.orders", "a")

    async def look(self, store):
        async with store.transaction() as transaction:
            return await transaction.parked("shop.orders", ["a"])


class Schemas:
    @in_loop
    async def test_a_store_without_tables_is_refused_with_what_to_do(self, new_store):
        store = new_store()
        with pytest.raises(StoreOutdated, match=r"has no tables yet.*busbridge store upgrade"):
            await store.open(upgrade=False)
        assert (await store.check()).found is None
        await store.close()

    @in_loop
    async def test_an_upgraded_store_is_opened_without_further_upgrade(self, new_store):
        store = new_store()
        assert (await store.upgrade()).found is None
        assert (await store.upgrade()).fits, "nothing is left to do"
        await store.open(upgrade=False)
        await store.close()

    @in_loop
    async def test_of_several_upgrades_at_once_one_makes_the_tables(self, new_store):
        stores = [new_store() for _ in range(4)]
        found = await asyncio.gather(*(store.upgrade() for store in stores))
        for store in stores:
            await store.close()
        assert sorted(str(each.found) for each in found) == ["1", "1", "1", "None"]

    def test_of_four_processes_that_upgrade_at_once_one_does_it_and_the_others_wait(self, store_url, tmp_path):
        file = tmp_path / "busbridge.yaml"
        file.write_text(f'services: {{shop: {{store: {{url: "{store_url}"}}}}}}')
        command = [sys.executable, "-m", "busbridge", "store", "upgrade", "-c", str(file)]
        processes = [subprocess.Popen(command, stdout=PIPE, stderr=STDOUT, text=True) for _ in range(4)]
        told = [process.communicate(timeout=50)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, told
        assert sum("upgraded from nothing" in each for each in told) == 1

    @in_loop
    async def test_an_older_schema_gets_the_steps_that_it_lacks_in_order(self, new_store):
        def add(table):
            return lambda connection: connection.execute(text(f"CREATE TABLE {table} (id INTEGER)"))

        async with opened(new_store()) as store:
            await put(store, message("1"))
            for steps in ([add("second")], [add("second"), add("third")], [add("second"), add("third")]):
                async with store.transaction() as transaction:
                    await transaction.connection.run_sync(upgrade, steps)
            assert (await store.check()).found == 3
            assert await execute(store, "SELECT * FROM second, third") == []
            assert await pending(store) == ["1"]

    @in_loop
    async def test_a_step_that_fails_leaves_the_schema_as_it_was(self, new_store):
        def half(connection):
            connection.execute(text("CREATE TABLE second (id INTEGER)"))
            raise ZeroDivisionError

        async with opened(new_store()) as store:
            with pytest.raises(ZeroDivisionError):
                async with store.transaction() as transaction:
                    await transaction.connection.run_sync(upgrade, [half])
            assert (await store.check()).found == 1
            await execute(store, "CREATE TABLE second (id INTEGER)")

    @in_loop
    async def test_a_newer_schema_is_left_alone_and_refused(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, "UPDATE busbridge_schema SET version = 99")
            with pytest.raises(StoreOutdated, match=r"version 99.*install a newer busbridge"):
                await store.open(upgrade=True)
            assert (await store.check()).found == 99

    @in_loop
    async def test_a_wrong_statement_of_ours_is_a_store_error_that_shows_no_values(self, new_store):
        async with opened(new_store()) as store:
            await execute(store, "DROP TABLE busbridge_outbox")
            with pytest.raises(StoreError, match="busbridge_outbox") as failed:
                await put(store, message("secret"))
            assert "secret" not in str(failed.value)
