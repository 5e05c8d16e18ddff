"""A stream handed once more to the handlers of a subscription."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from busbridge import Bus, ClosedError, ConfigurationError, Contract, Reject, Retry, Service
from busbridge.errors import ReplayPublished, ReplayTaken
from busbridge.routing import load
from busbridge.runtime import MemoryTransports, replay
from busbridge.runtime._bus import advance
from busbridge.runtime.replays._log import RunLog


class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str
    number: int = 0


class Awarded(Contract, name="shop.awarded", version=1, key="order_id"):
    order_id: str


STORED = pytest.mark.parametrize("stored", [True, False], ids=["store", "no store"])


class Shop:
    """A stream of sales, and a subscription that awards points for each."""

    def __init__(self, folder, *, stored=True):
        store = {"store": {"url": f"sqlite:///{folder / 'loyalty.db'}"}} if stored else {}
        self.config = {
            "transports": {"log": {"url": "kafka://localhost:9092"}},
            "destinations": {
                "sales": {"kind": "stream", "transport": "log", "partitions": 3},
                "awards": {"kind": "stream", "transport": "log", "partitions": 1},
            },
            "routes": {"shop.sold": {"to": "sales"}, "shop.awarded": {"to": "awards"}},
            "services": {
                "loyalty": {**store, "subscriptions": {"award": {"from": "sales", "concurrency": 4}}},
                "tills": {},
            },
            "stop": {"grace": "5s"},
        }
        self.transports = MemoryTransports()
        self.tills = Service("tills", publishes=[Sold])
        self.service = Service("loyalty", publishes=[Awarded])
        self.seen = []
        self.runs = set()

    def handles(self, handler):
        self.service.subscription("award").handles(Sold, name="award")(handler)

    async def award(self, sold, context):
        """What most tests handle with."""
        self.seen.append(sold.number)
        self.runs.add(context.run)

    async def sell(self, *numbers):
        async with Bus(self.tills, self.config, transports=self.transports) as bus:
            await bus.publish_many(Sold(order_id=f"key {number % 5}", number=number) for number in numbers)

    @asynccontextmanager
    async def bus(self, **options):
        if "award" not in self.service.subscriptions:
            self.handles(self.award)
        async with Bus(self.service, self.config, transports=self.transports, **{"consume": False} | options) as bus:
            yield bus

    def dead_letters(self):
        plan = load(self.config).services["loyalty"].subscriptions["award"]
        return self.transports.brokers["log"].dead_letters(plan)

    async def replayed(self, **options):
        """Makes a run to its end."""
        async with self.bus() as bus, bus.replay("award", **options) as replay:
            await replay.finished()
            return replay


@STORED
async def test_a_run_hands_over_everything_in_the_order_of_each_key_and_says_that_it_is_one(tmp_path, stored):
    shop = Shop(tmp_path, stored=stored)
    await shop.sell(*range(500))
    replay = await shop.replayed()
    assert sorted(shop.seen) == list(range(500))
    for key in range(5):
        assert (found := [each for each in shop.seen if each % 5 == key]) == sorted(found)
    assert shop.runs == {replay.id}
    assert (replay.remaining, replay.counts.handled) == (0, 500)


@STORED
async def test_the_subscription_goes_on_where_it_is_beside_a_run(tmp_path, stored):
    shop = Shop(tmp_path, stored=stored)
    await shop.sell(1, 2)
    async with shop.bus(consume=True) as bus:
        await shop.transports.brokers["log"].settled()
        assert sorted(shop.seen) == [1, 2]
        async with bus.replay("award") as replay:
            await replay.finished()
        assert sorted(shop.seen) == [1, 1, 2, 2]
        await shop.sell(3)
        await shop.transports.brokers["log"].settled()
        assert (sorted(shop.seen), shop.runs) == ([1, 1, 2, 2, 3], {None, replay.id})


async def test_effects_happen_once_in_each_run_however_often_a_message_stands_in_the_stream(tmp_path):
    shop = Shop(tmp_path)

    async def award(sold, context):
        await context.connection.execute(text("INSERT INTO points VALUES (:number)"), {"number": sold.number})

    shop.handles(award)
    async with Bus(shop.tills, shop.config, transports=shop.transports) as bus:
        for _ in range(2):
            await bus.publish(Sold(order_id="k", number=7), message_id="the same")
    async with shop.bus() as bus:
        async with bus.transaction() as tx:
            await tx.connection.execute(text("CREATE TABLE points (number integer)"))
        for _ in range(2):
            async with bus.replay("award") as replay:
                await replay.finished()
            assert (replay.counts.handled, replay.counts.duplicate) == (1, 1)
        async with bus.transaction() as tx:
            found = (await tx.connection.execute(text("SELECT number FROM points"))).scalars().all()
    assert found == [7, 7]


async def test_a_run_begins_and_ends_where_it_is_told(tmp_path):
    shop = Shop(tmp_path)
    await shop.sell(1, 2)
    between = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await shop.sell(3, 4)
    await shop.replayed(start=between)
    assert sorted(shop.seen) == [3, 4]
    shop.seen.clear()
    await shop.replayed(until=between)
    assert sorted(shop.seen) == [1, 2]


async def test_what_is_published_after_it_has_begun_is_not_part_of_a_run(tmp_path):
    shop = Shop(tmp_path)
    await shop.sell(1)
    async with shop.bus() as bus, bus.replay("award") as replay:
        await shop.sell(2)
        await replay.finished()
    assert shop.seen == [1]


async def test_a_run_that_was_left_goes_on_where_it_stood_to_the_end_that_it_had(tmp_path):
    shop, handled, hold = Shop(tmp_path), asyncio.Event(), asyncio.Event()

    async def award(sold, context):
        if len(shop.seen) == 100:
            handled.set()
            await hold.wait()
        shop.seen.append(sold.number)

    shop.handles(award)
    await shop.sell(*range(1200))
    async with shop.bus() as bus:
        async with bus.replay("award") as replay:
            await handled.wait()
            hold.set()
        left = len(shop.seen)
        assert 100 < left < 1200
        await shop.sell(5000)
        async with bus.replay("award", run=replay.id) as again:
            assert again.remaining >= 1200 - left
            await again.finished()
    assert sorted(shop.seen) == list(range(1200))


async def test_a_run_that_is_done_does_nothing_more(tmp_path):
    shop = Shop(tmp_path)
    await shop.sell(1)
    replay = await shop.replayed(run="mine")
    again = await shop.replayed(run="mine")
    assert (shop.seen, again.remaining, replay.id) == ([1], 0, "mine")


async def test_what_a_dead_process_had_been_handed_counts_as_handed_over_before(tmp_path):
    """T7: or a message that kills its process would kill every process that goes on with the run."""
    shop, redelivered = Shop(tmp_path), []

    async def award(sold, context):
        redelivered.append((sold.number, context.delivery.redelivered))

    shop.handles(award)
    await shop.sell(*range(10))
    async with shop.bus() as bus:
        replay = bus.replay("award", run="r")
        async with replay:
            await replay.finished()
            progress = replay._progress
            progress._marks = dict.fromkeys(progress._marks, 0)
            await replay._log.give_up(progress)  # as it stood when the process had died
        async with bus.transaction() as tx:
            await tx.connection.execute(text("DELETE FROM busbridge_inbox"))
        await shop.sell(*range(10, 20))
        redelivered.clear()
        async with bus.replay("award", run="r") as again:
            await again.finished()
    assert sorted(redelivered) == [(number, True) for number in range(10)]


async def test_two_processes_do_not_make_one_run(tmp_path, monkeypatch):
    monkeypatch.setitem(RunLog.__init__.__kwdefaults__, "lease", 0.3)
    shop = Shop(tmp_path)
    await shop.sell(1)
    async with shop.bus() as bus, bus.replay("award", run="r") as first:
        monkeypatch.setitem(RunLog.__init__.__kwdefaults__, "lease", 0.05)
        first._log._lease = 60.0
        await first._keep()
        with pytest.raises(ReplayTaken, match="another process makes replay run 'r'"):
            async with bus.replay("award", run="r"):
                pass


async def test_a_handler_that_publishes_stops_a_run_that_was_not_told_what_becomes_of_that(tmp_path, caplog):
    shop = Shop(tmp_path)
    outcome = []

    async def award(sold, context):
        shop.seen.append(sold.number)
        outcome.append(context.publish(Awarded(order_id=sold.order_id)))

    shop.handles(award)
    await shop.sell(1)
    async with shop.bus() as bus:
        with pytest.raises(ReplayPublished, match=r"'award/award' publishes 'shop.awarded'"):
            async with bus.replay("award", run="r") as replay:
                await replay.finished()
        assert not shop.dead_letters()
        warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert not warned, "the error says all: no handler was cancelled"
        async with bus.replay("award", run="r", publish="send") as replay:
            await replay.finished()
        found = [each async for each in bus.read("awards", Awarded)]
    assert shop.seen == [1, 1]
    assert [each.id for each in found] == outcome


@STORED
async def test_what_a_run_publishes_has_ids_of_its_own_and_dropped_goes_nowhere(tmp_path, stored):
    shop = Shop(tmp_path, stored=stored)

    async def award(sold, context):
        context.publish(Awarded(order_id=sold.order_id))

    shop.handles(award)
    await shop.sell(1)
    async with shop.bus(consume=True) as bus:
        await shop.transports.brokers["log"].settled()
        for publish in ("send", "drop", "send"):
            async with bus.replay("award", publish=publish) as replay:
                await replay.finished()
    async with shop.bus() as bus:
        ids = [each.id async for each in bus.read("awards", Awarded)]
    assert len(ids) == len(set(ids)) == 3


@STORED
async def test_a_handler_that_fails_in_a_run_has_its_attempts_and_a_dead_letter(tmp_path, stored):
    shop = Shop(tmp_path, stored=stored)
    attempts = []

    async def award(sold, context):
        attempts.append(context.delivery.attempt)
        if sold.number == 1:
            raise ZeroDivisionError

    shop.handles(award)
    shop.config["services"]["loyalty"]["subscriptions"]["award"]["retry"] = {"attempts": 2}
    await shop.sell(1, 2)
    replay = await shop.replayed()
    assert sorted(attempts) == [1, 1, 2]
    assert replay.remaining == 0
    assert len(shop.dead_letters()) == 1


async def test_what_can_not_be_replayed_is_told_where_it_stands(tmp_path):
    shop = Shop(tmp_path, stored=False)
    shop.config["destinations"]["orders"] = {"kind": "queue", "transport": "memory"}
    shop.config["transports"]["memory"] = {"url": "memory://"}
    shop.config["services"]["loyalty"]["subscriptions"]["work"] = {"from": "orders"}
    shop.service.subscription("work").handles(Sold, name="work")(shop.award)
    async with shop.bus() as bus:
        with pytest.raises(ConfigurationError, match=r"work\.from: subscription 'work' can't be replayed: .*queue"):
            bus.replay("work")
        with pytest.raises(ConfigurationError, match=r"no subscription 'awrd' \(did you mean 'award'\?\)"):
            bus.replay("awrd")
        with pytest.raises(ConfigurationError, match=r"no store, which would know how far(.|\n)*loyalty\.store"):
            bus.replay("award", run="r")
        with pytest.raises(ValueError, match="a replay ends"):
            bus.replay("award", until=None)
    with pytest.raises(ClosedError):
        bus.replay("award")


class Waiting(MemoryTransports):
    """A broker that is not there: it is waited for, for ever."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()
        self.left = False

    def make(self, settings):
        transport = super().make(settings)
        transport.open = self.open
        transport.close = self.close
        return transport

    async def open(self):
        self.asked.set()
        await asyncio.Event().wait()

    async def close(self):
        self.left = True


async def replay_of(shop, subscription="award", **options):
    shop.handles(shop.award)
    async with asyncio.timeout(10):
        return await replay(shop.service, shop.config, subscription, lambda run: None, **options)


async def test_a_run_that_waits_for_its_broker_stops_when_it_is_told_to(tmp_path):
    broker, stop = Waiting(), asyncio.Event()
    making = asyncio.create_task(replay_of(Shop(tmp_path), transports=broker, stop=stop))
    await broker.asked.wait()
    stop.set()
    assert await making is False
    assert broker.left


async def test_a_run_that_waits_for_the_process_that_makes_it_stops_when_it_is_told_to(tmp_path, monkeypatch):
    waiting, stop = asyncio.Event(), asyncio.Event()

    async def resume(_):
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(RunLog, "resume", resume)
    shop = Shop(tmp_path)
    making = asyncio.create_task(replay_of(shop, run="r", transports=shop.transports, stop=stop))
    await waiting.wait()
    stop.set()
    assert await making is False


async def test_a_wait_that_is_cancelled_from_outside_is_no_stop(tmp_path):
    broker = Waiting()
    making = asyncio.create_task(replay_of(Shop(tmp_path), transports=broker, stop=asyncio.Event()))
    await broker.asked.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making


@pytest.mark.parametrize(
    ("subscription", "options", "problem"),
    [
        ("awrd", {}, r"no subscription 'awrd' \(did you mean 'award'\?\)"),
        ("award", {"run": "r"}, r"no store, which would know how far(.|\n)*loyalty\.store"),
    ],
)
async def test_what_can_not_be_replayed_is_told_before_anything_connects(tmp_path, subscription, options, problem):
    broker = Waiting()
    with pytest.raises(ConfigurationError, match=problem):
        await replay_of(Shop(tmp_path, stored=False), subscription, transports=broker, **options)
    assert not broker.asked.is_set()


async def test_a_run_of_one_subscription_is_not_gone_on_with_by_another(tmp_path):
    shop = Shop(tmp_path)
    shop.config["services"]["loyalty"]["subscriptions"]["other"] = {"from": "sales"}
    shop.service.subscription("other").handles(Sold, name="other")(shop.award)
    await shop.sell(1)
    await shop.replayed(run="r")
    async with shop.bus() as bus:
        with pytest.raises(ConfigurationError, match="replay run 'r' is one of subscription 'award'"):
            async with bus.replay("other", run="r"):
                pass


async def test_attempts_of_the_subscription_that_wait_are_not_made_by_a_run(tmp_path):
    shop = Shop(tmp_path)

    async def award(sold, context):
        shop.seen.append((sold.number, context.run))
        if context.run is None:
            raise Retry(after=3600)

    shop.handles(award)
    shop.config["services"]["loyalty"]["subscriptions"]["award"] |= {"ordered": False, "retry": {"attempts": 3}}
    await shop.sell(1)
    async with shop.bus(consume=True):
        await shop.transports.brokers["log"].settled()
    async with shop.bus() as bus:
        await advance(bus, 3600)
        async with bus.replay("award") as replay:
            await replay.finished()
        assert len(await bus._storing.store.timers(9)) == 1
    assert shop.seen == [(1, None), (1, replay.id)]


async def test_a_dead_letter_of_a_run_is_redriven_in_its_run(tmp_path):
    """Or it would be taken for the message that was handled before, and its effect in the run be lost."""
    shop, broken = Shop(tmp_path), asyncio.Event()

    async def award(sold, context):
        if broken.is_set():
            raise Reject("not now")
        shop.seen.append((sold.number, context.run))

    shop.handles(award)
    await shop.sell(1)
    async with shop.bus(consume=True) as bus:
        await shop.transports.brokers["log"].settled()
        broken.set()
        async with bus.replay("award") as replay:
            await replay.finished()
        broken.clear()
        for _ in range(2):
            await bus.dead_letters().redrive()
            await shop.transports.brokers["log"].settled()
    assert shop.seen == [(1, None), (1, replay.id)]
