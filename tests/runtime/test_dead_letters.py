"""What an operator does to dead letters, on each kind of destination, with a store and without."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from busbridge import Bus, Context, Service
from busbridge.errors import BeyondWindow, CanaryFailed, ConfigurationError, MessageRefused, NoDeadLetter
from busbridge.memory._dead_letters import MemoryDeadLetters
from busbridge.retry import REDRIVE, REDRIVES
from busbridge.routing import load
from busbridge.runtime import MemoryTransports, Which, dead_letters_of
from busbridge.store import Store, actions_of
from busbridge.transport import Outcome, Status
from tests.runtime.conftest import Placed
from tests.runtime.effects import make_tables, until, with_store, write, written


class Trouble(Exception):
    """What handlers fail with here."""


class Scene:
    """A service that fails while it is broken, and another that hears the same and does not."""

    def __init__(self, config, kind, folder=None):
        self.config = config
        self.transports = MemoryTransports()
        self.broken = True
        self.headers: list[dict[str, str]] = []
        self.attempts: list[int] = []
        self.heard: list[str] = []
        config["routes"]["shop.placed"] = {"to": {"queue": "orders", "topic": "events", "stream": "history"}[kind]}
        place = config["routes"]["shop.placed"]["to"]
        config["services"]["stock"]["subscriptions"]["reserve"] |= {"from": place, "retry": {"attempts": 2}}
        if kind != "queue":
            config["services"]["other"] = {"subscriptions": {"hear": {"from": place}}}
        if folder is not None:
            with_store(config, f"sqlite:///{folder}/stock.db")
        self.stored = folder is not None

    @asynccontextmanager
    async def open(self):
        """The bus of the service; the other's beside it."""
        services = [self._stock(), *([self._other()] if "other" in self.config["services"] else [])]
        async with Bus(services[0], self.config, transports=self.transports) as stock:
            if self.stored:
                await make_tables(stock)
            if len(services) == 1:
                yield stock
                return
            async with Bus(services[1], self.config, transports=self.transports):
                yield stock

    def _stock(self):
        stock = Service("stock", publishes=[Placed], version="1.4.2")

        @stock.subscription("reserve").handles(Placed)
        async def reserve(order: Placed, context: Context) -> None:
            self.headers.append(dict(context.headers))
            self.attempts.append(context.delivery.attempt)
            if self.broken:
                raise Trouble(order.order_id)
            if self.stored:
                await write(order.order_id, context)

        return stock

    def _other(self):
        other = Service("other")

        @other.subscription("hear").handles(Placed)
        async def hear(order: Placed) -> None:
            self.heard.append(order.order_id)

        return other


@pytest.fixture(params=["queue", "topic", "stream"])
def scene(config, request):
    return Scene(config, request.param)


@pytest.fixture
def stored(config, tmp_path):
    return Scene(config, "queue", tmp_path)


async def dead(bus, count):
    """Publishes so many, and waits until they are dead."""
    for number in range(count):
        await bus.publish(Placed(order_id=f"o{number}"), message_id=f"m{number}")
    await until(lambda: bus.counts["reserve"].dead.total() == count)


async def test_a_redrive_reaches_the_failing_subscription_alone_with_its_id_and_attempts_anew(scene):
    async with scene.open() as bus:
        await dead(bus, 3)
        scene.broken = False
        scene.headers.clear()
        scene.attempts.clear()
        done = await bus.dead_letters().redrive()
        assert (done.count, done.refused) == (3, ())
        await until(lambda: bus.counts["reserve"].handled == 3)
        assert scene.attempts == [1, 1, 1]
        assert [(each[REDRIVE], each[REDRIVES]) for each in scene.headers] == [(done.id, "1")] * 3
        assert await bus.dead_letters().groups() == []
        assert sorted(scene.heard) in ([], ["o0", "o1", "o2"]), "once each, though it was published and redriven"


async def test_what_fails_again_is_met_once_and_says_which_redrive_brought_it(scene):
    async with scene.open() as bus:
        await dead(bus, 2)
        done = await bus.dead_letters().redrive()
        assert done.count == 2
        await until(lambda: bus.counts["reserve"].dead.total() == 4)
        letters = [letter async for letter in bus.dead_letters().read()]
        assert [letter.record.redrive for letter in letters] == [done.id] * 2
        again = await bus.dead_letters().redrive(limit=1)
        await until(lambda: bus.counts["reserve"].dead.total() == 5)
        assert (scene.headers[-1][REDRIVE], scene.headers[-1][REDRIVES]) == (again.id, "2")


async def test_groups_count_by_what_it_died_of_and_one_is_found_by_either_id(scene):
    async with scene.open() as bus:
        await dead(bus, 3)
        (group,) = await bus.dead_letters().groups()
        assert (group.subscription, group.reason, group.count) == ("reserve", "failed", 3)
        assert group.error_type.endswith("test_dead_letters.Trouble")
        letter = await bus.dead_letters().find("m1")
        assert (letter.message_id, letter.record.error, letter.record.version) == ("m1", "o1", "1.4.2")
        assert letter.contract.endswith("shop.placed/1")
        assert (await bus.dead_letters().find(letter.id)).message_id == "m1"
        with pytest.raises(NoDeadLetter):
            await bus.dead_letters().find("m9")


async def test_only_what_is_meant_is_sent_again_or_discarded(scene):
    async with scene.open() as bus:
        await dead(bus, 4)
        letters = bus.dead_letters()
        assert await letters.groups(Which(reason="expired")) == []
        assert await letters.groups(Which(older_than=timedelta(hours=1))) == []
        assert await letters.groups(Which(exception="KeyError")) == []
        (group,) = await letters.groups(Which(exception="Trouble", newer_than=timedelta(hours=1)))
        assert group.count == 4
        assert (await letters.discard(Which(ids=frozenset({"m2"})))).count == 1
        assert (await letters.discard(limit=1)).count == 1
        left = [letter.message_id async for letter in letters.read()]
        assert len(left) == 2
        assert "m2" not in left


async def test_a_subscription_that_is_not_there_is_told(scene):
    async with scene.open() as bus:
        with pytest.raises(ConfigurationError, match=r"no subscription 'resreve'.*one of reserve"):
            await bus.dead_letters().groups(Which(subscription="resreve"))


async def test_no_more_a_second_than_the_rate(scene):
    async with scene.open() as bus:
        await dead(bus, 4)
        seen = []
        await bus.dead_letters().redrive(rate=20, progress=lambda done, remaining: seen.append((done, remaining)))
        assert seen[-1][0] == 4


async def test_dead_letters_are_there_without_a_bus(scene):
    async with scene.open() as bus:
        await dead(bus, 2)
    async with dead_letters_of("stock", load(scene.config), scene.transports) as letters:
        assert [group.count for group in await letters.groups()] == [2]
        assert (await letters.discard()).count == 2
        assert await letters.groups() == []


async def test_what_the_store_s_window_no_longer_covers_is_sent_again_only_when_told(stored):
    stored.config["services"]["stock"]["store"]["window"] = "100ms"
    stored.config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {"attempts": 1}
    async with stored.open() as bus:
        await dead(bus, 2)
        stored.broken = False
        await asyncio.sleep(0.11)
        with pytest.raises(BeyondWindow, match="longer than the store"):
            await bus.dead_letters().redrive()
        assert [group.count for group in await bus.dead_letters().groups()] == [2]
        assert (await bus.dead_letters().redrive(beyond_window=True)).count == 2
        await until(lambda: bus.counts["reserve"].handled == 2)


async def cut(*_):
    raise RuntimeError("cut")


async def test_with_a_store_a_redrive_has_its_effect_once_though_it_was_interrupted_and_repeated(stored, monkeypatch):
    """Cut off between sending and removing: the next redrive sends the same messages once more."""
    async with stored.open() as bus:
        await dead(bus, 2)
        stored.broken = False
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="cut"):
            patch.setattr(MemoryDeadLetters, "remove", cut)
            await bus.dead_letters().redrive()
        await until(lambda: bus.counts["reserve"].handled == 2)
        assert (await bus.dead_letters().redrive()).count == 2
        await until(lambda: bus.counts["reserve"].duplicate == 2)
        assert sorted(await written(bus)) == ["o0", "o1"]


async def test_what_could_not_be_sent_again_is_not_removed(scene, monkeypatch):
    """A redrive that removes first and sends then would lose it."""
    async with scene.open() as bus:
        await dead(bus, 2)
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="cut"):
            patch.setattr(MemoryDeadLetters, "redrive", cut)
            await bus.dead_letters().redrive()
        assert [group.count for group in await bus.dead_letters().groups()] == [2]


async def test_what_is_refused_stays_and_is_listed(scene, monkeypatch):
    refused = Outcome(Status.REFUSED, error=MessageRefused("overflow", "orders", "it is full"))

    async def refuse(_place, letters, _seconds):
        return [refused] * len(letters)

    async with scene.open() as bus:
        await dead(bus, 2)
        monkeypatch.setattr(MemoryDeadLetters, "redrive", refuse)
        done = await bus.dead_letters().redrive()
        assert (done.count, len(done.refused)) == (0, 2)
        assert "it is full" in done.refused[0].why
        assert [group.count for group in await bus.dead_letters().groups()] == [2]


async def test_a_record_tells_the_handler_and_when_the_first_attempt_failed(scene):
    async with scene.open() as bus:
        await dead(bus, 1)
        record = (await bus.dead_letters().find("m0")).record
        assert (record.handler, record.attempts) == ("reserve", 2)
        assert record.first_time <= record.time
        assert "in reserve" in record.stack


async def test_an_attempt_that_waited_is_told_with_the_first_failure_and_redriven_it_begins_anew(stored):
    stored.config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {
        "attempts": 2, "immediate": 1, "first": "20ms", "backoff": "fixed"
    }  # fmt: skip
    async with stored.open() as bus:
        await dead(bus, 1)
        await bus._storing.relay.idle()
        letter = await bus.dead_letters().find("m0")
        assert letter.record.attempts == 2
        assert letter.record.first_time < letter.record.time
        stored.broken = False
        stored.attempts.clear()
        await bus.dead_letters().redrive()
        await until(lambda: bus.counts["reserve"].handled == 1)
        assert stored.attempts == [1]


async def test_every_action_is_in_the_store_with_who_and_how_many_and_how_it_ended(stored):
    async with stored.open() as bus:
        await dead(bus, 3)
        done = await bus.dead_letters().redrive(Which(subscription="reserve"), limit=1, who="ann@desk")
        await until(lambda: bus.counts["reserve"].dead.total() == 4)
        await bus.dead_letters().discard(who="ben@desk")
        store = Store(stored.config["services"]["stock"]["store"]["url"], "stock")
        newest, oldest = await actions_of(store, 10)
        await store.close()
        assert (oldest.id, oldest.who, oldest.what) == (done.id, "ann@desk", "redrive")
        assert (oldest.subscription, oldest.which) == ("reserve", "subscription=reserve")
        assert (oldest.state, oldest.done, oldest.refused) == ("finished", 1, 0)
        assert (newest.who, newest.what, newest.done) == ("ben@desk", "discard", 3)


async def test_a_canary_that_is_handled_lets_the_rest_go(stored):
    async with stored.open() as bus:
        await dead(bus, 4)
        stored.broken = False
        assert (await bus.dead_letters().redrive(canary=1)).count == 4
        await until(lambda: bus.counts["reserve"].handled == 4)


async def test_a_canary_that_dies_again_keeps_the_rest_where_it_is(stored):
    async with stored.open() as bus:
        await dead(bus, 4)
        with pytest.raises(CanaryFailed) as failed:
            await bus.dead_letters().redrive(canary=2)
        assert (failed.value.sent, failed.value.handled, failed.value.dead) == (2, 0, 2)
        untouched = [letter async for letter in bus.dead_letters().read() if not letter.record.redrive]
        assert len(untouched) == 2


async def test_without_a_store_a_canary_is_watched_among_the_dead(scene):
    async with scene.open() as bus:
        await dead(bus, 3)
        with pytest.raises(CanaryFailed, match="1 dead again"):
            await bus.dead_letters().redrive(canary=1, wait=0.1)
        scene.broken = False
        assert (await bus.dead_letters().redrive(canary=1, wait=0.1)).count == 3
