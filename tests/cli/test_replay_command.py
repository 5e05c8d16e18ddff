"""`busbridge replay` as a user types it."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest

from busbridge.cli import _replay, main

CONFIG = """\
transports: {log: {url: "memory://"}}
destinations: {sales: {kind: stream, transport: log}}
routes: {shop.sold: {to: sales}}
services:
  loyalty:
    store: {url: "sqlite:///loyalty.db"}
    subscriptions: {award-points: {from: sales}}
"""
SERVICES = """\
from busbridge import Contract, Service

class Sold(Contract, name="shop.sold", version=1):
    order_id: str

loyalty = Service("loyalty")

@loyalty.subscription("award-points").handles(Sold)
async def award(_: Sold) -> None: ...
"""


@pytest.fixture
def busbridge(tmp_path, monkeypatch, capsys):
    (tmp_path / "busbridge.yaml").write_text(CONFIG)
    (tmp_path / "replayed_shop.py").write_text(SERVICES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["busbridge", "replay", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), " ".join(capsys.readouterr().err.split())

    yield run
    sys.modules.pop("replayed_shop", None)


def test_it_says_its_run_its_progress_and_how_it_ended(busbridge):
    code, told = busbridge("replayed_shop:loyalty.award-points", "--run", "mine")
    assert code == 0, told
    assert "replay run mine 0 handled, 0 left, 0/s" in told
    assert told.endswith("done; 0 handled, 0 duplicates, 0 discarded, 0 dead letters")
    code, told = busbridge("replayed_shop:loyalty.award-points", "--run", "mine")
    assert (code, told.endswith("done; nothing was left to do")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["loyalty.award-points"], "is not MODULE:SERVICE.SUBSCRIPTION"),
        (["replayed_shop:loyalty"], "is not MODULE:SERVICE.SUBSCRIPTION"),
        (["replayed_shop:loyalty.award-points", "--from", "yesterday"], "--from: found 'yesterday'"),
        (["replayed_shop:loyalty.award-points", "--from", "2030-01-31T12:00"], "a time such as 2030-01-31T12:00+01:00"),
        (["replayed_shop:loyalty.award-points", "--until", "7"], "--until: found '7'; allowed: now, a time"),
        (["replayed_shop:loyalty.award-points", "--publish", "yes"], "found 'yes'; allowed: refuse, send, drop"),
    ],
)
def test_wrong_usage_says_what_is_right(busbridge, arguments, problem):
    code, told = busbridge(*arguments)
    assert code == 2
    assert problem in told.replace("│ ", "").replace(" │", "")


def test_an_unknown_subscription_is_told_with_its_place(busbridge):
    code, told = busbridge("replayed_shop:loyalty.award-point")
    assert code == 1
    assert "no subscription 'award-point' (did you mean 'award-points'?)" in told
    assert "busbridge.yaml:7" in told


def test_where_it_starts_is_a_word_an_offset_or_a_time():
    assert _replay._start("earliest") == "earliest"
    assert _replay._start("17") == 17
    assert _replay._start("2030-01-31T12:00+00:00") == datetime.fromisoformat("2030-01-31T12:00+00:00")


def test_a_run_that_was_stopped_before_it_had_begun_says_so(capsys):
    _replay._Progress().end(done=False)
    assert capsys.readouterr().err == "stopped before it had begun\n"
