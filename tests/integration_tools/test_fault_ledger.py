"""The books of the fault runs find what is wrong, and the same seed gives the same faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from busbridge.transport import Status
from integration.faults.ledger import FOLDER, Ledger
from integration.faults.storm import drawn


def kept(**fates: tuple[Status | None, tuple[str, ...]]) -> Ledger:
    """A ledger of orders with the outcome of their publish and the ids of the messages about them."""
    ledger = Ledger()
    for order, (outcome, ids) in fates.items():
        ledger.begin(order)
        for message_id in ids:
            ledger.hear(order, message_id)
        if outcome is not None:
            ledger.end(order, outcome)
    return ledger


def test_orders_that_went_well_or_were_never_promised_are_not_wrong() -> None:
    ledger = kept(a=(Status.CONFIRMED, ("1",)), b=(Status.UNKNOWN, ()), c=(Status.UNKNOWN, ("2",)), d=(None, ()))
    verdict = ledger.judge({"a": 1, "c": 1})
    assert verdict.wrong() == {}
    assert verdict.recovered == {"c"}
    assert ledger.owed == 0


@pytest.mark.parametrize(
    ("word", "outcome", "ids", "effects"),
    [
        ("lost", Status.CONFIRMED, (), {}),
        ("twice", Status.CONFIRMED, ("1",), {"a": 2}),
        ("ghosts", Status.REFUSED, ("1",), {"a": 1}),
        ("unheard", Status.CONFIRMED, (), {"a": 1}),
        ("unheard", Status.UNKNOWN, ("1",), {}),
        ("renamed", Status.CONFIRMED, ("1", "2"), {"a": 1}),
        ("invented", Status.UNKNOWN, (), {"nobody's": 1}),
    ],
)
def test_what_must_not_be_is_found(word: str, outcome: Status, ids: tuple[str, ...], effects: dict[str, int]) -> None:
    wrong = kept(a=(outcome, ids)).judge(effects).wrong()
    assert list(wrong) == [word]


def test_a_confirmed_order_is_owed_until_it_is_said_to_be_booked() -> None:
    ledger = kept(a=(Status.CONFIRMED, ()), b=(Status.CONFIRMED, ("1",)))
    assert ledger.owed == 1
    ledger.hear("a", "2")
    ledger.hear("a", "2")
    assert (ledger.owed, ledger.heard) == (0, 2)


def test_the_ledger_of_a_failure_is_kept_as_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "kept"))
    ledger = kept(a=(Status.CONFIRMED, ("1",)))
    ledger.fault("kill", target=2)
    lines = [json.loads(line) for line in ledger.save("run", {"a": 1}, {"a": 3}).read_text().splitlines()]
    assert (lines[0]["fault"], lines[0]["target"]) == ("kill", 2)
    assert (lines[1]["order"], lines[1]["outcome"], lines[1]["calls"]) == ("a", "confirmed", 3)


def test_the_same_seed_draws_the_same_faults_and_each_kind_in_every_round() -> None:
    assert drawn(7, 2, 3, 2) == drawn(7, 2, 3, 2) != drawn(8, 2, 3, 2)
    first = drawn(7, 2, 3, 2)[:7]
    assert len({each.name for each in first}) == 7
