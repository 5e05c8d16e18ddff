"""`busbridge dead` as a user runs it, on an in-memory broker that outlives each run."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import NamedTuple

import pytest
from typer import BadParameter

from busbridge import Bus
from busbridge.cli import _dead, main
from busbridge.cli import _reasons as reasons
from busbridge.cli._ages import parsed
from busbridge.cli._dead_letter_json import plain
from busbridge.runtime import MemoryTransports
from busbridge.store import Store

CONFIG = """\
transports: {broker: {url: "memory://"}}
destinations: {orders: {kind: queue, transport: broker}}
routes: {shop.placed: {to: orders}}
services:
  stock:
    store: {url: "sqlite:///stock.db"}
    subscriptions: {reserve: {from: orders, retry: {attempts: 1}}}
"""
SERVICE = """\
from busbridge import Contract, Service

class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str

stock = Service("stock", publishes=[Placed])

@stock.subscription("reserve").handles(Placed)
async def reserve(order: Placed) -> None:
    raise KeyError(order.order_id)
"""
TARGET = "dead_shop:stock"


class Done(NamedTuple):
    returncode: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "busbridge.yaml").write_text(CONFIG)
    (tmp_path / "dead_shop.py").write_text(SERVICE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("dead_shop", None)


@pytest.fixture
def busbridge(folder, monkeypatch, capsys):
    transports = MemoryTransports()
    asyncio.run(_die(transports, 3))
    monkeypatch.setattr(_dead, "InstalledTransports", lambda: transports)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["busbridge", "dead", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


async def _die(transports, count):
    from dead_shop import Placed, stock  # pyright: ignore[reportMissingImports]

    async with Bus(stock, "busbridge.yaml", transports=transports) as bus:
        for number in range(count):
            await bus.publish(Placed(order_id=f"o{number}"), message_id=f"m{number}")
        async with asyncio.timeout(10):
            while bus.counts["reserve"].dead.total() < count:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)


def test_list_counts_by_what_it_died_of(busbridge):
    done = busbridge("list", TARGET)
    assert done.returncode == 0
    assert all(word in done.out for word in ("reserve", "failed", "builtins.KeyError", "3", "s ago"))
    (group,) = json.loads(busbridge("list", TARGET, "--json").out)
    assert (group["subscription"], group["reason"], group["count"]) == ("reserve", "failed", 3)
    assert json.loads(busbridge("list", TARGET, "--json", "--older-than", "1h").out) == []
    assert json.loads(busbridge("list", TARGET, "--json", "--exception", "KeyError").out) == [group]


def test_each_has_a_line_with_its_id_by_which_it_is_shown(busbridge):
    letters = json.loads(busbridge("list", TARGET, "--each", "--json").out)
    assert [letter["message_id"] for letter in letters] == ["m0", "m1", "m2"]
    assert letters[1]["id"] in busbridge("list", TARGET, "--each").out
    shown = busbridge("show", TARGET, letters[1]["id"]).out
    assert all(word in shown for word in ("KeyError", "'o1'", "in reserve", '{"order_id":"o1"}', "ce-id: m1"))
    assert json.loads(busbridge("show", TARGET, "m1", "--json").out) == letters[1]


def test_list_and_export_take_ids_and_a_limit_as_the_others_do(busbridge):
    def counted(*arguments):
        return sum(group["count"] for group in json.loads(busbridge("list", TARGET, "--json", *arguments).out))

    assert [counted("--limit", "2"), counted("--id", "m1"), counted("--limit", "9")] == [2, 1, 3]
    letters = json.loads(busbridge("list", TARGET, "--each", "--json", "--limit", "2").out)
    assert [letter["message_id"] for letter in letters] == ["m0", "m1"]
    done = busbridge("export", TARGET, "--limit", "1")
    assert (json.loads(done.out)["message_id"], done.err) == ("m0", "1 exported\n")


def test_where_there_is_nothing_it_is_said_in_words(busbridge):
    assert busbridge("list", TARGET, "--reason", "expired").out == "no dead letters\n"
    assert busbridge("list", TARGET, "--reason", "expired", "--each").out == "no dead letters\n"
    assert busbridge("actions", TARGET).out == "no actions\n"


@pytest.mark.parametrize("command", ["list", "export", "redrive", "discard"])
def test_a_reason_that_there_is_not_is_wrong_usage(busbridge, command):
    done = busbridge(command, TARGET, "--reason", "faild")
    assert (done.returncode, done.out) == (2, "")
    assert "nothing dies for the reason 'faild': did you mean failed?" in " ".join(done.err.replace("│", "").split())


def test_reasons_are_those_of_records_and_of_brokers():
    assert [reasons.parsed(each) for each in ("", "expired", "delivery_limit")] == ["", "expired", "delivery_limit"]
    with pytest.raises(BadParameter, match=r"there are: invalid_envelope, .*, expired, delivery_limit, maxlen"):
        reasons.parsed("???")


def test_one_that_is_not_there_is_told_in_words(busbridge):
    done = busbridge("show", TARGET, "m9")
    assert (done.returncode, done.out) == (1, "")
    assert "no dead letter 'm9'" in done.err


def test_export_writes_a_line_for_each_and_takes_none(busbridge, folder):
    done = busbridge("export", TARGET, "-o", "dead.jsonl", "--id", "m0", "--id", "m2")
    assert (done.returncode, done.err) == (0, "2 exported\n")
    lines = [json.loads(line) for line in (folder / "dead.jsonl").read_text().splitlines()]
    assert [line["message_id"] for line in lines] == ["m0", "m2"]
    assert json.loads(lines[0]["body"]) == {"order_id": "o0"}
    assert json.loads(busbridge("list", TARGET, "--json").out)[0]["count"] == 3


def test_redrive_says_how_many_and_under_which_id_and_is_written_down(busbridge):
    done = busbridge("redrive", TARGET, "--limit", "2", "--yes")
    assert done.returncode == 0
    assert done.out.startswith("2 redriven, as ")
    assert json.loads(busbridge("list", TARGET, "--json").out)[0]["count"] == 1
    told = busbridge("actions", TARGET).out
    assert all(word in told for word in ("redrive", "finished", "@"))


def test_discard_asks_and_does_nothing_where_the_answer_is_no(busbridge, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    asked = busbridge("discard", TARGET, "--reason", "failed")
    assert asked.returncode == 1
    assert "remove for good what is meant by: reason=failed" in asked.out
    assert json.loads(busbridge("list", TARGET, "--json").out)[0]["count"] == 3
    assert busbridge("discard", TARGET, "--yes").out == "3 discarded\n"
    assert json.loads(busbridge("list", TARGET, "--json").out) == []


def test_a_subscription_that_is_not_there_is_told_with_those_that_are(busbridge):
    done = busbridge("list", TARGET, "--subscription", "resreve")
    assert done.returncode == 1
    assert "one of reserve" in done.err


def test_an_age_is_written_as_in_the_configuration(busbridge):
    assert parsed("1d12h").total_seconds() == 36 * 3600
    with pytest.raises(BadParameter, match="needs a unit"):
        parsed("90")
    assert busbridge("list", TARGET, "--older-than", "yesterday").returncode == 2


def test_json_keeps_what_is_no_text():
    assert plain(b"\x00\xff") == {"base64": "AP8="}
    assert plain([b"text", 1, None, {"a": b"\xff"}]) == ["text", 1, None, {"a": {"base64": "/w=="}}]


def test_what_is_written_down_about_a_killed_action_says_so(folder):
    """It goes on saying `running`: nobody was left to write down its end."""

    async def killed():
        store = Store("sqlite:///stock.db", "stock")
        await store.open(upgrade=True)
        from busbridge.store import actions_of, begin_action

        await begin_action(store, "a1", "redrive", "", "all", "ann")
        (row,) = await actions_of(store, 5)
        await store.close()
        return row.state, row.done

    assert asyncio.run(killed()) == ("running", 0)
