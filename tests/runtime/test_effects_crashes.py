"""T7: a message that kills its process is counted, though its transaction dies with it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from busbridge import Bus, Context, Service
from busbridge.outbox import CRASHES, Action, Arrival, Decision, _seams
from busbridge.retry import read_record
from busbridge.routing import load
from busbridge.runtime import MemoryTransports
from busbridge.runtime.effects._begun import Begun
from busbridge.store import InboxKey, InboxRow, InboxState
from tests.runtime.conftest import Placed
from tests.runtime.effects import make_tables, stock_service, until, with_store, write, written

PLACE = "stock.reserve/handler"


def inbox(folder):
    """By message id: what is committed of the inbox, as another process sees it."""
    with closing(sqlite3.connect(folder / "stock.db")) as database:
        rows = database.execute("SELECT message_id, state, attempt, crashes FROM busbridge_inbox")
        return {message_id: tuple(rest) for message_id, *rest in rows}


class Scene:
    """A queue with messages that a process has died of, and the service that gets them now."""

    def __init__(self, config, folder):
        self.config = with_store(config, f"sqlite:///{folder}/stock.db")
        self.folder = folder
        self.transports = MemoryTransports()
        self.service, reserve = stock_service()
        self.seen = {}

        @reserve.handles(Placed)
        async def handler(order: Placed, context: Context) -> None:
            self.seen[order.order_id] = inbox(folder)
            await write(order.order_id, context)

    def bus(self):
        return Bus(self.service, self.config, transports=self.transports)

    async def publish(self, *order_ids):
        async with Bus(Service("out", publishes=[Placed]), self.config, transports=self.transports) as out:
            for each in order_ids:
                await out.publish(Placed(order_id=each), message_id=each)

    async def know(self, message_id, state, attempt=0, crashes=0):
        """As a process has left it that died."""
        async with self.bus() as stock, stock._storing.store.transaction() as transaction:
            key = InboxKey(PLACE, "out", message_id)
            await transaction.put_inbox([InboxRow(key, state, attempt, crashes)])

    async def settled(self, stock):
        await until(lambda: self.transports.brokers["rabbit"].outstanding == 0)
        return stock.counts["reserve"]


@pytest.fixture
def scene(config, tmp_path):
    return Scene(config, tmp_path)


async def test_a_message_that_comes_again_is_known_to_run_before_its_handler_begins(scene):
    async with scene.bus() as stock:
        await make_tables(stock)
    broker = scene.transports.brokers["rabbit"]
    plan = stock.plans["reserve"]
    await scene.publish("m1", "m2")
    source = broker.subscribe(plan, 10)
    assert len(await source.receive()) == 2
    await source.close()
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert counts.handled == 2
    running = ("running", 0, 0)
    assert scene.seen["m1"] == {"m1": running, "m2": running}, "both counted in one transaction, before any begins"
    assert inbox(scene.folder) == {"m1": ("handled", 1, 0), "m2": ("handled", 1, 0)}


async def test_a_message_that_never_ended_is_counted_as_crashed_and_handled_alone(scene, monkeypatch):
    async with scene.bus() as stock:
        await make_tables(stock)
    await scene.know("m2", InboxState.RUNNING)
    begun = []
    monkeypatch.setattr(_seams, "hook", lambda name: begun.append(name) if name == "in_transaction" else None)
    await scene.publish("m1", "m2", "m3")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert counts.handled == 3
        assert await written(stock) == ["m1", "m2", "m3"]
    assert scene.seen["m2"]["m2"] == ("running", 0, 1)
    assert scene.seen["m2"]["m1"] == ("handled", 1, 0), "what came before it is committed before it begins"
    assert "m3" not in scene.seen["m2"]
    assert inbox(scene.folder)["m2"] == ("handled", 1, 1)
    assert len(begun) == 3


async def test_a_message_that_crashed_too_often_is_dead_and_its_handler_is_not_called(scene):
    async with scene.bus() as stock:
        await make_tables(stock)
    await scene.know("m1", InboxState.RUNNING, crashes=CRASHES - 1)
    await scene.publish("m1", "m2")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert (counts.handled, counts.dead) == (1, {"crashed": 1})
        (letter,) = scene.transports.brokers["rabbit"].dead_letters(stock.plans["reserve"])
        record = read_record(letter.body, letter.headers)
        assert (record.reason, record.error) == ("crashed", "3 processes died while they handled it")
    assert "m1" not in scene.seen
    assert inbox(scene.folder)["m1"] == ("dead", 0, CRASHES)


async def test_a_message_whose_death_was_committed_and_not_told_becomes_a_dead_letter_now(scene):
    """Died between commit and settlement: a second dead letter does less harm than none."""
    async with scene.bus() as stock:
        await make_tables(stock)
    await scene.know("m1", InboxState.DEAD, attempt=3)
    await scene.publish("m1")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert counts.dead == {"failed": 1}
        assert len(scene.transports.brokers["rabbit"].dead_letters(stock.plans["reserve"])) == 1
    assert not scene.seen


async def test_a_message_whose_effects_were_committed_and_not_settled_is_a_duplicate(scene):
    async with scene.bus() as stock:
        await make_tables(stock)
    await scene.know("m1", InboxState.HANDLED, attempt=1)
    await scene.publish("m1")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert (counts.duplicate, counts.handled) == (1, 0)
    assert not scene.seen


def again(message_id):
    """A delivery that was handed over before."""
    return SimpleNamespace(
        key=InboxKey(PLACE, "out", message_id), arrival=Arrival(redelivered=True), delivery=object(), counted=None
    )


async def test_copies_that_begin_beside_each_other_are_no_crashes_of_each_other(scene):
    """Each lane finds the row that another one has committed, which lives."""
    async with scene.bus() as stock:
        begun = Begun(stock._storing.store)
        copies = [again("m1") for _ in range(CRASHES + 1)]
        await asyncio.gather(*(begun.count([copy]) for copy in copies))
        assert [copy.counted for copy in copies] == [Decision(Action.COUNT)] * len(copies)
    assert inbox(scene.folder) == {"m1": ("running", 0, 0)}


async def test_a_message_that_was_given_back_did_not_crash_when_it_comes_again(scene):
    """Its session ended before its handler began, again and again, and the process lives."""
    async with scene.bus() as stock:
        begun = Begun(stock._storing.store)
        for _ in range(CRASHES + 1):
            await begun.count([work := again("m1")])
            assert work.counted == Decision(Action.COUNT)
            begun.given_back(work.delivery)
    assert inbox(scene.folder) == {"m1": ("running", 0, 0)}


async def test_what_is_given_back_in_a_rebalance_is_taken_back_while_the_process_goes_on(scene, monkeypatch):
    """Or whoever has it next takes it for a crash: three rebalances later it is dead, and nobody had died."""
    told, tell = [], Begun.tell

    async def telling(begun):
        told.append(len(begun._given_back))
        await tell(begun)

    monkeypatch.setattr(Begun, "tell", telling)
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        seen.append(order.order_id)
        if len(seen) == 1:
            stock._workers["reserve"]._sources[0].sever()

    scene.service = service
    await scene.publish("m1", "m2", "m3")
    source = scene.transports.brokers["rabbit"].subscribe(
        load(scene.config).services["stock"].subscriptions["reserve"], 9
    )
    await source.receive()
    await source.close()
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert (counts.handled, counts.duplicate) == (3, 1)
        assert told == [2]


async def test_a_message_that_did_crash_is_alone_also_when_it_comes_again(scene):
    await scene.know("m1", InboxState.RUNNING)
    async with scene.bus() as stock:
        begun = Begun(stock._storing.store)
        for _ in range(CRASHES + 1):
            await begun.count([work := again("m1")], alone=True)
            assert work.counted == Decision(Action.ALONE, crashes=1)
    assert inbox(scene.folder) == {"m1": ("running", 0, 1)}


async def test_a_message_that_has_not_begun_is_not_blamed_for_the_one_before_it(scene):
    """m1 to m3 were in one transaction when its process died. Each is counted when its turn has come."""
    async with scene.bus() as stock:
        await make_tables(stock)
    for each in ("m1", "m2", "m3"):
        await scene.know(each, InboxState.RUNNING)
    await scene.publish("m1", "m2", "m3", "m4")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert counts.handled == 4
    assert scene.seen["m1"] == {"m1": ("running", 0, 1), "m2": ("running", 0, 0), "m3": ("running", 0, 0)}
    assert scene.seen["m2"] == {"m1": ("handled", 1, 1), "m2": ("running", 0, 1), "m3": ("running", 0, 0)}
    assert scene.seen["m3"]["m3"] == ("running", 0, 1)


async def test_an_attempt_that_died_is_not_one_of_those_that_failed(scene):
    scene.config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {"attempts": 1}
    async with scene.bus() as stock:
        await make_tables(stock)
    await scene.know("m1", InboxState.RUNNING)
    await scene.publish("m1")
    async with scene.bus() as stock:
        counts = await scene.settled(stock)
        assert counts.handled == 1


async def test_a_session_that_is_lost_before_the_settlement_leaves_one_effect(scene):
    """The transaction is committed; the message comes again, and is known."""
    began, proceed = asyncio.Event(), asyncio.Event()
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        calls.append(order.order_id)
        await write(order.order_id, context)
        began.set()
        await proceed.wait()

    scene.service = service
    async with scene.bus() as stock:
        await make_tables(stock)
        await scene.publish("m1")
        await asyncio.wait_for(began.wait(), 5)
        scene.transports.brokers["rabbit"].sever()
        proceed.set()
        counts = await scene.settled(stock)
        assert (counts.handled, counts.duplicate) == (1, 1)
        assert await written(stock) == calls == ["m1"]
