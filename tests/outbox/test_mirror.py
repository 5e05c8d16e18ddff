"""What a process has inserted itself is published without being read, in the order in which it would have been read."""

from __future__ import annotations

import asyncio
import random

import pytest

from busbridge.outbox import Inserted, Leaving
from busbridge.outbox import _relay as relays
from busbridge.outbox._mirror import Mirror
from busbridge.store import OutboxRow, Store
from tests.outbox.conftest import HISTORY, Broker, Flaky, Place, relaying


def rows(*names, destination="orders"):
    return [Leaving(OutboxRow(0, 0, name, destination, "", "k", "[]", b"")) for name in names]


def names(taken):
    return [each.row.message_id for each in taken]


@pytest.fixture
def mirror():
    mirror = Mirror(10)
    mirror.begin(5)
    return mirror


def test_commits_without_a_gap_are_known(mirror):
    mirror.inserted(Inserted(rows("a", "b"), 7))
    mirror.inserted(Inserted(rows("c"), 8))
    taken = mirror.take(())
    assert [(each.row.id, each.row.message_id) for each in taken] == [(6, "a"), (7, "b"), (8, "c")]
    assert mirror.begun
    assert mirror.take(()) == []


@pytest.mark.parametrize("last", [8, 9, None])
def test_a_gap_or_ids_that_say_nothing_end_it(mirror, last):
    mirror.inserted(Inserted(rows("a"), 6))
    mirror.inserted(Inserted(rows("b"), last))
    assert not mirror.begun
    assert mirror.take(()) == []


def test_what_a_look_has_found_already_is_not_known_twice(mirror):
    mirror.inserted(Inserted(rows("a", "b"), 5))
    mirror.inserted(Inserted(rows("c"), 6))
    assert names(mirror.take(())) == ["c"]


def test_a_look_from_before_the_last_commit_does_not_begin_it():
    mirror = Mirror(10)
    mirror.inserted(Inserted(rows("a"), 6))
    mirror.begin(5)
    assert not mirror.begun
    mirror.begin(6)
    assert mirror.begun


def test_what_is_closed_stays_in_its_order(mirror):
    mirror.inserted(Inserted([*rows("a"), *rows("b", destination="history"), *rows("c")], 8))
    assert names(mirror.take({"history"})) == ["a", "c"]
    mirror.inserted(Inserted(rows("d", destination="history"), 9))
    assert names(mirror.take({"orders"})) == ["b", "d"]


def test_more_than_it_keeps_is_left_to_be_read(mirror):
    mirror.inserted(Inserted(rows(*"abcdefghij"), 15))
    assert mirror.begun
    mirror.inserted(Inserted(rows("k"), 16))
    assert not mirror.begun


class Watched(Flaky):
    """A store that counts looks."""

    looks = 0

    async def look(self, *arguments, **options):
        self.looks += 1
        return await self._store.look(*arguments, **options)


async def test_what_is_told_is_published_and_deleted_without_a_look(place):
    broker = Broker()
    async with place.store() as inner, relaying(store := Watched(inner), broker) as relay:
        await place.put(inner, "first")
        relay.poke()
        await relay.idle()
        before = store.looks
        for number in range(5):
            relay.inserted(await place.insert(inner, f"{number}", key="k"))
            await relay.idle()
        deletions = 5
        assert store.looks == before + deletions
        assert broker.taken == ["first", *"01234"]
        assert (await inner.waiting())[:2] == (0, 0)
        assert [each.key for each in broker.entries[1:]] == ["k"] * 5


async def test_it_goes_out_as_it_would_have_been_read(place):
    """The entry in memory and the one out of the row are the same."""
    told, read = Broker(), Broker()
    async with place.store() as store:
        async with relaying(store, read) as relay:
            await place.put(store, "x", key="k")
            relay.poke()
            await relay.idle()
        async with relaying(store, told) as relay:
            await relay.idle()
            relay.inserted(await place.insert(store, "x", key="k"))
            await relay.idle()
    (one,), (two,) = read.entries, told.entries
    assert (one.body, one.key, one.routing_key, one.destination) == (
        two.body,
        two.key,
        two.routing_key,
        two.destination,
    )
    assert [name for name, _ in one.headers] == [name for name, _ in two.headers]


async def test_what_somebody_else_has_inserted_before_goes_first(place):
    """T15: another process has had the message before this one of its key."""
    broker = Broker()
    async with place.store() as store, relaying(store, broker) as relay:
        await place.put(store, "0", key="k")
        relay.poke()
        await relay.idle()
        await place.put(store, "theirs", key="k")
        relay.inserted(await place.insert(store, "ours", key="k"))
        await relay.idle()
        assert broker.taken == ["0", "theirs", "ours"]


async def _troubled(place, trouble):
    """What is published when the first of a key is not confirmed, and more of it comes later."""
    broker = Broker()
    async with place.store() as store, relaying(store, broker) as relay:
        await place.put(store, "0", key="b")
        relay.poke()
        await relay.idle()
        getattr(broker, trouble).add("a1")
        relay.inserted(await place.insert(store, "a1", key="a"))
        relay.inserted(await place.insert(store, "b1", key="b"))
        await broker.got("a1", "b1")
        relay.inserted(await place.insert(store, "a2", key="a"))
        relay.inserted(await place.insert(store, "b2", key="b"))
        await broker.got("b2")
        await relay.idle()
    return set(broker.taken)


@pytest.mark.parametrize("trouble", ["refuses", "loses"])
async def test_what_is_not_confirmed_holds_the_later_ones_of_its_key(place, trouble):
    assert await _troubled(place, trouble) == {"0", "a1", "b1", "b2"}


async def test_one_that_is_told_while_its_destination_is_busy_waits_for_it(place):
    broker, elsewhere = Broker(), Broker()
    async with place.store() as store, relaying(store, broker, elsewhere=elsewhere) as relay:
        await place.put(store, "0")
        relay.poke()
        await relay.idle()
        broker.answers.clear()
        relay.inserted(await place.insert(store, "1", key="k"))
        await broker.got("1")
        relay.inserted(await place.insert(store, "2", key="k"))
        relay.inserted(await place.insert(store, "other", destination=HISTORY))
        await elsewhere.got("other")
        assert broker.taken == ["0", "1"]
        broker.answers.set()
        await relay.idle()
        assert broker.taken == ["0", "1", "2"]


async def test_what_is_confirmed_is_deleted_in_pieces_while_another_destination_keeps_the_relay_waiting(place):
    """So many rows, and no more, are published again by whoever follows a process that dies then."""
    broker, stuck = Broker(), Broker()
    stuck.answers.clear()
    async with place.store() as store, relaying(store, broker, elsewhere=stuck) as relay:
        await place.put(store, "0")
        relay.poke()
        await relay.idle()
        relay.inserted(await place.insert(store, "waits", destination=HISTORY))
        await stuck.got("waits")
        bodies = [f"{number}" for number in range(relays._MARKED)]
        relay.inserted(await place.insert(store, *bodies))
        async with asyncio.timeout(10):
            while (await store.waiting()).pending > 1:  # noqa: ASYNC110 - a database has no event
                await asyncio.sleep(0.02)
        stuck.answers.set()


async def test_another_relay_that_joins_gets_its_share_unpublished(place):
    """What is in its slots is read by it alone, though this process has inserted it."""
    broker, other = Broker(), Broker()
    async with place.store() as store, relaying(store, broker, lease=0.2, poll=0.02) as relay:
        await relay.idle()
        async with relaying(store, other, lease=0.2, poll=0.02) as second:
            while not second._tenure.slots:  # noqa: ASYNC110 - a lease has no event
                await asyncio.sleep(0.01)
            for number in range(40):
                relay.inserted(await place.insert(store, f"{number}", key=f"k{number}"))
            while len(broker.taken) + len(other.taken) < 40:  # noqa: ASYNC110 - two brokers
                await asyncio.sleep(0.01)
            assert other.taken
            assert sorted(broker.taken + other.taken, key=int) == [f"{number}" for number in range(40)]


class Gapless(Mirror):
    """Believes that nobody else inserts anything."""

    def _add(self, rows, last):
        self._newest = last - len(rows)
        super()._add(rows, last)


class Endless(Mirror):
    """Goes on after a row that was not confirmed."""

    def end(self):
        pass


async def _storm(place, seed):
    """Commits of this process, told late at times, between those of others; some rows are not confirmed at first.

    Returns, by key, the bodies in the order of commits and in that of their first publication.
    """
    draw, broker, committed = random.Random(seed), Broker(), {}
    async with place.store() as store, relaying(store, broker, poll=0.05) as relay:
        others = Store(place.url, "shop")
        telling = []
        for number in range(120):
            key, body = draw.choice("abc"), f"{number}"
            committed.setdefault(key, []).append(body)
            if draw.random() < 0.1:
                broker.loses.add(body)
            if draw.random() < 0.2:
                await place.put(others, body, key=key)
            else:
                telling.append(await place.insert(store, body, key=key))
            while telling and draw.random() < 0.8:
                relay.inserted(telling.pop(0))
                await asyncio.sleep(draw.choice((0, 0, 0.002)))
            if draw.random() < 0.1:
                await relay.idle()
        broker.loses.clear()
        for each in telling:
            relay.inserted(each)
        async with asyncio.timeout(30):
            await broker.got(*(body for bodies in committed.values() for body in bodies))
        await others.close()
    first = list(dict.fromkeys(broker.taken))
    return {key: (bodies, [body for body in first if body in bodies]) for key, bodies in committed.items()}


@pytest.mark.parametrize("number", range(3))
async def test_each_key_is_first_published_in_the_order_of_commits_whoever_commits(place, number):
    """T15."""
    seed = random.randrange(number * 10**6, (number + 1) * 10**6)
    for key, (bodies, first) in (await _storm(place, seed)).items():
        assert first == bodies, (key, seed)


async def test_a_mirror_that_overlooks_gaps_would_be_noticed(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(relays, "Mirror", Gapless)
    storms = [await _storm(Place(tmp_path_factory.mktemp("storm")), seed) for seed in range(5)]
    assert any(first != bodies for found in storms for bodies, first in found.values())


async def test_a_mirror_that_does_not_end_would_be_noticed(place, monkeypatch):
    monkeypatch.setattr(relays, "Mirror", Endless)
    assert "a2" in await _troubled(place, "refuses")
