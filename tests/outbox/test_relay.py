"""The relay: what is committed is published, once at least, in the order of each key, whatever is away."""

from __future__ import annotations

import asyncio
import logging

from busbridge.outbox import Outage
from busbridge.routing import Destination, Kind
from busbridge.store import SLOTS, OutboxRow, discard_parked, parked_messages, release_parked
from tests.outbox.conftest import HISTORY, Broker, Clock, Flaky, relaying


async def left(store):
    """The bodies that are still to be published."""
    return [row.body.decode() for row in await store.pending(range(SLOTS), 100)]


async def test_what_is_committed_is_published_at_once_and_deleted_once_it_is_confirmed(place):
    """No look is due for an hour: only being told makes it look."""
    broker = Broker()
    async with place.store() as store, relaying(store, broker) as relay:
        await relay.idle()
        await place.put(store, "a", "b", "c", key="k")
        relay.poke()
        await relay.idle()
        assert broker.taken == ["a", "b", "c"]
        assert (await store.waiting())[:2] == (0, 0)
        assert relay.published == 3


async def test_what_was_committed_before_the_start_or_by_somebody_else_is_found(place):
    broker = Broker()
    async with place.store() as store:
        await place.put(store, "before")
        async with relaying(store, broker, poll=0.01):
            await broker.got("before")
            await place.put(store, "untold")
            await broker.got("untold")


async def test_a_row_is_not_marked_before_its_confirm(place):
    """R4: who marks first loses the message when it dies between the two."""
    broker, successor = Broker(), Broker()
    broker.answers.clear()
    async with place.store() as store:
        ids = await place.put(store, "a")
        async with relaying(store, broker):
            await broker.got("a")
        assert await left(store) == ["a"]
        async with relaying(store, successor) as relay:
            await relay.idle()
    sent = [*broker.entries, *successor.entries]
    assert [dict(each.headers)["ce-id"] for each in sent] == ids * 2


async def test_no_transaction_is_open_while_a_broker_is_talked_to(place):
    """R1. On SQLite a second one would wait for the first."""
    broker = Broker()
    broker.answers.clear()
    async with place.store() as store, relaying(store, broker):
        await place.put(store, "a")
        async with asyncio.timeout(5):
            await place.put(store, "b")
        broker.answers.set()


async def test_what_is_sent_again_has_the_id_and_the_bytes_that_it_was_inserted_with(place):
    """R4: a new id would make it another message to every consumer."""
    broker = Broker()
    broker.loses.add("a")
    async with place.store() as store:
        ids = await place.put(store, "a", "b")
        async with relaying(store, broker, poll=0.02) as relay:
            await broker.got("a")
            broker.loses.clear()
            await broker.got("a", "a")
            await relay.stop(5)
    assert broker.taken == ["a", "b", "a"]
    assert [dict(each.headers)["ce-id"] for each in broker.entries] == [*ids, ids[0]]


async def test_a_refused_row_holds_the_later_rows_of_its_own_key_and_no_others(place, caplog):
    """T15. It is parked with its error, and said once."""
    broker = Broker()
    broker.refuses.add("a1")
    async with place.store() as store:
        await place.put(store, "a1", "a2", key="a")
        await place.put(store, "b1", "b2", key="b")
        await place.put(store, "c")
        async with relaying(store, broker) as relay:
            await relay.idle()
            await place.put(store, "a3", key="a")
            relay.poke()
            await relay.idle()
        assert sorted(broker.taken) == ["a1", "b1", "b2", "c"]
        waiting = await store.waiting()
        assert (waiting.pending, waiting.parked, relay.parked) == (2, 1, 1)
    assert [each.levelno for each in caplog.records if "parked" in each.message] == [logging.ERROR]


async def test_a_refused_row_that_is_released_goes_out_before_the_later_ones_of_its_key(place):
    broker = Broker()
    broker.refuses.add("a1")
    async with place.store() as store:
        (refused,) = await place.put(store, "a1", key="a")
        await place.put(store, "a2", "a3", key="a")
        async with relaying(store, broker, poll=0.02) as relay:
            await relay.idle()
            (parked,) = await parked_messages(store, 10)
            assert (parked.message_id, parked.destination, parked.attempts) == (refused, "orders", 1)
            assert "MessageRefused" in parked.error
            broker.refuses.clear()
            assert await release_parked(store, [refused]) == [refused]
            await broker.got("a3")
        assert broker.taken == ["a1", "a1", "a2", "a3"]
        assert await parked_messages(store, 10) == []


async def test_a_refused_row_that_is_discarded_is_gone_and_the_later_ones_of_its_key_go_out(place):
    broker = Broker()
    broker.refuses |= {"a1", "b1"}
    async with place.store() as store:
        (refused,) = await place.put(store, "a1", key="a")
        await place.put(store, "a2", key="a")
        await place.put(store, "b1", "b2", key="b")
        async with relaying(store, broker, poll=0.02) as relay:
            await relay.idle()
            assert await discard_parked(store, [refused, "unheard-of"]) == [refused]
            await broker.got("a2")
            await relay.idle()
            assert sorted(broker.taken) == ["a1", "a2", "b1"]
            assert [each.key for each in await parked_messages(store, 10)] == ['"b"']
            broker.refuses.clear()
            assert len(await release_parked(store, None)) == 1
            await broker.got("b1", "b1", "b2")


async def test_a_row_that_is_not_confirmed_holds_its_own_key_until_it_is(place):
    """T15: the next one must not become the first."""
    broker = Broker()
    broker.loses.add("a1")
    async with place.store() as store:
        await place.put(store, "a1", "a2", key="a")
        await place.put(store, "b1", "b2", key="b")
        async with relaying(store, broker, poll=0.02):
            await broker.got("a1", "b2")
            broker.loses.clear()
            await broker.got("a2")
        assert [each for each in broker.taken if each.startswith("a")] == ["a1", "a1", "a2"]


async def test_a_row_that_can_not_be_read_is_parked_and_stops_nothing(place):
    broker = Broker()
    async with place.store() as store:
        async with store.transaction() as transaction:
            await transaction.put_outbox([OutboxRow(0, 0, "m0", "orders", "", None, "no json", b"bad")])
        await place.put(store, "good")
        async with relaying(store, broker) as relay:
            await relay.idle()
        assert broker.taken == ["good"]
        assert (await store.waiting())[:2] == (0, 1)


async def test_a_relay_whose_lease_ran_out_publishes_nothing(place):
    """T15: it slept while another took over; what it had read before must stay unsent."""
    broker, clock = Broker(), Clock()
    broker.answers.clear()
    async with place.store() as store:
        await place.put(store, "a1", "a2", key="a")
        async with relaying(store, broker, clock=clock, lease=60.0) as relay:
            await broker.got("a1")
            await store.release(relay._tenure.owner)
            assert len(await store.lease("successor", 60.0)) == SLOTS
            clock.seconds += 60.0
            broker.answers.set()
            await relay.idle()
            assert not relay._tenure.slots
            assert broker.taken == ["a1"]
            assert await left(store) == ["a2"]


async def test_a_broker_that_is_away_is_waited_for_and_no_row_is_held_back_for_it(place, caplog):
    broker = Broker()
    broker.away = True
    async with place.store() as store:
        await place.put(store, "a1", "a2", key="a")
        await place.put(store, "b")
        async with relaying(store, broker) as relay:
            await broker.got(*["a1", "b"] * 3)
            broker.away = False
            await broker.got("a2")
            await relay.stop(5)
        assert broker.taken == [*["a1", "b"] * 4, "a2"]
        assert (await store.waiting())[:2] == (0, 0)
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


async def test_a_broker_that_is_away_is_not_asked_again_at_once_however_often_rows_are_committed(place):
    broker, clock = Broker(), Clock()
    broker.away = True
    async with place.store() as store, relaying(store, broker, clock=clock) as relay:
        for body in ("a", "b", "c"):
            await place.put(store, body)
            relay.poke()
            await relay.idle()
        assert broker.taken == ["a"]
        broker.away = False
        clock.seconds += 1
        relay.poke()
        await broker.got("a", "a", "b", "c")


async def test_a_destination_that_is_away_holds_no_other(place):
    broker, elsewhere = Broker(), Broker()
    elsewhere.answers.clear()
    async with place.store() as store:
        await place.put(store, "h1", "h2", key="h", destination=HISTORY)
        async with relaying(store, broker, elsewhere=elsewhere) as relay:
            await elsewhere.got("h1")
            for number in range(3):
                await place.put(store, f"o{number}")
                relay.poke()
                await broker.got(f"o{number}")
            elsewhere.answers.set()
            await elsewhere.got("h2")


async def test_a_database_that_goes_between_confirm_and_mark_causes_no_second_publish(place):
    broker = Broker()
    broker.answers.clear()
    async with place.store() as store:
        flaky = Flaky(store)
        await place.put(store, "a")
        async with relaying(flaky, broker) as relay:
            await broker.got("a")
            flaky.away = True
            broker.answers.set()
            await flaky.asked.wait()
            flaky.away = False
            await relay.idle()
        assert broker.taken == ["a"]
        assert (await store.waiting())[:2] == (0, 0)


async def test_a_database_that_is_away_at_the_start_is_waited_for(place, caplog):
    broker = Broker()
    async with place.store() as store:
        flaky = Flaky(store)
        flaky.away = True
        async with relaying(flaky, broker) as relay:
            for _ in range(3):
                flaky.asked.clear()
                await flaky.asked.wait()
            await place.put(store, "a")
            flaky.away = False
            await broker.got("a")
            await relay.idle()
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


async def test_relays_share_the_work_and_keep_the_order_of_each_key(place):
    clock, brokers = Clock(), (Broker(), Broker())
    async with place.store() as store, place.store() as other:
        async with (
            relaying(store, brokers[0], clock=clock) as first,
            relaying(other, brokers[1], clock=clock) as second,
        ):
            await first.idle()
            await second.idle()
            clock.seconds += 30.0  # time to renew: the first one gives up what is above its share
            for each in (first, second, second):
                each.poke()
                await each.idle()
                clock.seconds += 21.0
            assert (len(first._tenure.slots), len(second._tenure.slots)) == (SLOTS // 2, SLOTS // 2)
            for number in range(3):
                for key in map(str, range(40)):
                    await place.put(store, f"{key}:{number}", key=key)
            for each in (first, second):
                each.poke()
                await each.idle()
    for broker in brokers:
        assert broker.taken
        assert all(
            [each for each in broker.taken if each.startswith(f"{key}:")] == [f"{key}:{number}" for number in range(3)]
            for key in {each.split(":")[0] for each in broker.taken}
        )
    assert len(brokers[0].taken) + len(brokers[1].taken) == 120


async def test_a_relay_that_stops_publishes_what_is_there_and_leaves_its_slots_to_others(place):
    broker = Broker()
    async with place.store() as store:
        async with relaying(store, broker) as relay:
            await relay.idle()
            await place.put(store, "a1", "a2", key="a")
            await relay.stop(5)
            assert broker.taken == ["a1", "a2"]
            assert (await store.waiting()).pending == 0
            assert len(await store.lease("successor", 60.0)) == SLOTS


async def test_a_row_for_a_destination_that_is_not_known_here_stays_and_stops_nothing(place, caplog):
    broker = Broker()
    async with place.store() as store:
        async with store.transaction() as transaction:
            await transaction.put_outbox([OutboxRow(0, 0, "m0", "newer", "", None, "[]", b"new")])
        await place.put(store, "a")
        async with relaying(store, broker) as relay:
            await relay.idle()
        assert broker.taken == ["a"]
        assert await left(store) == ["new"]
    assert [each.args for each in caplog.records if each.levelno == logging.ERROR] == [("newer",)]


async def test_a_full_queue_is_offered_about_what_it_takes_and_no_row_is_held_back_for_it(place, caplog):
    """Rows that back off one by one leave it empty while they wait, and arrive in any order."""
    broker, clock = Broker(), Clock()
    broker.room = 40
    bodies = [f"{number:03}" for number in range(200)]
    async with place.store() as store:
        await place.put(store, *bodies)
        async with relaying(store, broker, clock=clock) as relay:
            await relay.idle()
            assert (len(broker.taken), len(broker.kept)) == (200, 40)
            for taken in (30, 30, 0, 0, 0, 5):
                seen, broker.room = len(broker.taken), taken
                clock.seconds += 1
                relay.poke()
                await relay.idle()
                assert len(broker.taken) - seen <= max(2 * taken + 2, 80)
            seen, broker.room = len(broker.taken), None
            clock.seconds += 1
            relay.poke()
            await relay.idle()
            assert len(broker.taken) - seen == 200 - 105
            assert broker.kept == bodies
            assert (await store.waiting()).pending == 0
            await place.put(store, "later")
            relay.poke()
            await relay.idle()
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


async def test_a_full_queue_behind_a_topic_holds_up_no_other(place):
    broker = Broker()
    broker.overflows = {"a1", "a2"}
    events = Destination("orders", Kind.TOPIC, "rabbit", "orders")
    async with place.store() as store:
        await place.put(store, "a1", "a2", "b1")
        async with relaying(store, broker, orders=events) as relay:
            await relay.idle()
            await place.put(store, "b2")
            relay.poke()
            await broker.got("b2")
            assert sorted(broker.kept) == ["b1", "b2"]


def test_an_outage_is_said_now_and_then_and_waits_longer_each_time(caplog):
    clock = Clock()
    outage = Outage(logging.getLogger("busbridge.outbox"), "it is away", clock)
    caplog.set_level(logging.INFO, "busbridge.outbox")
    pauses = []
    for _ in range(70):
        pauses.append(outage.failed(OSError("gone")))
        clock.seconds += 1
    outage.over()
    outage.over()
    assert [each.message for each in caplog.records] == ["it is away, trying again: gone"] * 3 + [
        "it is away no more, after 70 s"
    ]
    assert pauses[0] <= 0.1
    assert 2.5 <= pauses[-1] <= 5.0
    assert outage.failed(OSError()) <= 0.1
