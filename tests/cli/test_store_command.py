"""`busbridge store` as a user runs it."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import NamedTuple

import pytest

from busbridge.cli import main
from busbridge.errors import StoreError
from busbridge.store import Store, Trouble, actions_of
from tests.store.helpers import ALL_SLOTS, message, opened, put

CONFIG = """\
transports: {broker: {url: "memory://"}}
services:
  inventory: {store: {url: "sqlite:///inventory.db"}}
  billing: {store: {url: "sqlite:///billing.db"}}
  mail: {}
"""
SERVICES = """\
from busbridge import Service
inventory, mail = Service("inventory"), Service("mail")
"""


class Done(NamedTuple):
    returncode: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "busbridge.yaml").write_text(CONFIG)
    (tmp_path / "stored_shop.py").write_text(SERVICES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("stored_shop", None)


@pytest.fixture
def busbridge(folder, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["busbridge", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_upgrade_makes_the_tables_of_every_service_that_has_a_store_and_says_so(busbridge):
    first, second = busbridge("store", "upgrade"), busbridge("store", "upgrade")
    assert first == (
        0,
        (
            "inventory: SQLite inventory.db: version 1, upgraded from nothing\n"
            "billing: SQLite billing.db: version 1, upgraded from nothing\n"
        ),
        "",
    )
    assert second == (0, "inventory: SQLite inventory.db: version 1\nbilling: SQLite billing.db: version 1\n", "")


def test_check_makes_nothing_and_says_what_to_do(folder, busbridge):
    busbridge("store", "upgrade", "stored_shop:inventory")
    done = busbridge("store", "check")
    assert (done.returncode, done.out) == (1, "inventory: SQLite inventory.db: version 1\n")
    assert done.err.startswith("billing: the schema of the store in SQLite billing.db does not fit: it has no tables")
    assert "`busbridge store upgrade`" in done.err
    assert not (folder / "billing.db").exists()


def test_outbox_tells_what_waits_for_how_long_and_whether_it_is_full(folder, busbridge):
    busbridge("store", "upgrade")
    (folder / "busbridge.yaml").write_text(CONFIG.replace('inventory.db"', 'inventory.db", outbox_limit: 2'))
    asyncio.run(three_wait_and_one_is_parked())
    first, second = busbridge("store", "outbox").out.splitlines()
    seconds = re.fullmatch(
        r"inventory: SQLite inventory.db: 3 waiting \(full: more than 2\), the oldest for (\d+) s; 1 parked", first
    )
    assert seconds is not None
    assert int(seconds[1]) < 20
    assert second == "billing: SQLite billing.db: 0 waiting; 0 parked"


async def three_wait_and_one_is_parked():
    async with opened(Store("sqlite:///inventory.db", "inventory")) as store:
        await put(store, *(message(str(number), key=None) for number in range(4)))
        await store.failed([Trouble((await store.pending(ALL_SLOTS, 1))[0].id, "refused", None)])


def test_outbox_says_of_a_store_that_it_does_not_fit(busbridge):
    done = busbridge("store", "outbox")
    assert (done.returncode, done.out) == (1, "")
    assert "does not fit" in done.err


def test_parked_lists_what_was_refused_and_for_what(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked")
    assert done.returncode == 0
    assert "inventory: SQLite inventory.db: 1 parked\nbilling: SQLite billing.db: 0 parked\n" in done.out
    (row,) = [line for line in done.out.splitlines() if line.split()[:1] == ["inventory"]]
    assert row.split()[:3] == ["inventory", "0", "orders"]
    assert row.rstrip().endswith("refused")


def test_parked_that_is_released_waits_again_and_what_was_done_is_written_down(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", "stored_shop:inventory", "--release", "0")
    assert done == (0, "inventory: SQLite inventory.db: 1 released, 0 discarded\n", "")
    assert busbridge("store", "outbox").out.startswith("inventory: SQLite inventory.db: 4 waiting, ")
    assert "0 parked" in busbridge("store", "parked", "stored_shop:inventory").out
    (action,) = asyncio.run(written_down())
    assert (action.what, action.subscription, action.which) == ("release parked", "outbox", "0")
    assert (action.state, action.done) == ("finished", 1)


def test_parked_that_is_discarded_is_gone(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", "stored_shop:inventory", "--discard", "0")
    assert done == (0, "inventory: SQLite inventory.db: 0 released, 1 discarded\n", "")
    assert "3 waiting" in busbridge("store", "outbox").out


def test_parked_releases_all_that_is(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", "--release", "all")
    assert "inventory: SQLite inventory.db: 1 released" in done.out
    assert "billing: SQLite billing.db: 0 released" in done.out


def test_all_that_is_released_is_what_is_not_discarded(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", "stored_shop:inventory", "--release", "all", "--discard", "0")
    assert done == (0, "inventory: SQLite inventory.db: 0 released, 1 discarded\n", "")
    assert "3 waiting" in busbridge("store", "outbox").out


def test_a_decision_that_fails_is_written_down_as_stopped(busbridge, monkeypatch):
    async def fails(store, ids):
        raise StoreError(store.database, "no room")

    busbridge("store", "upgrade")
    monkeypatch.setattr("busbridge.cli._parked.discard_parked", fails)
    done = busbridge("store", "parked", "stored_shop:inventory", "--discard", "0")
    assert done.returncode == 1
    assert "no room" in done.err
    (action,) = asyncio.run(written_down())
    assert (action.state, action.done) == ("stopped: StoreError", 0)


def test_an_id_that_is_not_parked_is_told(busbridge):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", "--release", "0", "--discard", "1")
    assert done.returncode == 1
    assert done.err == "nothing is parked with the id 1\n"
    assert "1 released, 0 discarded" in done.out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--discard", "all"), "--discard takes ids, and not `all`"),
        (("--release", "0", "--discard", "0"), "0 can't be both released and discarded"),
    ],
)
def test_what_is_parked_is_not_decided_about_at_random(busbridge, asked, told):
    busbridge("store", "upgrade")
    asyncio.run(three_wait_and_one_is_parked())
    done = busbridge("store", "parked", *asked)
    assert done.returncode == 2
    assert told in " ".join(done.err.replace("│", " ").split())
    assert "1 parked" in busbridge("store", "outbox").out


async def written_down():
    async with opened(Store("sqlite:///inventory.db", "inventory")) as store:
        return await actions_of(store, 10)


def test_services_that_are_named_are_all_that_is_looked_at(busbridge):
    done = busbridge("store", "upgrade", "stored_shop:inventory")
    assert done == (0, "inventory: SQLite inventory.db: version 1, upgraded from nothing\n", "")


def test_a_service_without_a_store_is_wrong_usage(folder, busbridge):
    done = busbridge("store", "check", "stored_shop:mail")
    assert (done.returncode, done.out) == (2, "")
    assert "mail has no store" in " ".join(done.err.split())
    (folder / "busbridge.yaml").write_text("services: {mail: {}}")
    done = busbridge("store", "check")
    assert done.returncode == 2
    assert "no service has a store" in " ".join(done.err.split())


def test_one_that_fails_keeps_no_other_from_its_upgrade_and_no_password_is_shown(folder, busbridge):
    (folder / "inventory.db").mkdir()
    done = busbridge("store", "upgrade")
    assert (done.returncode, done.out) == (1, "billing: SQLite billing.db: version 1, upgraded from nothing\n")
    assert done.err == ("inventory: the store in SQLite inventory.db is unavailable: unable to open database file\n")
