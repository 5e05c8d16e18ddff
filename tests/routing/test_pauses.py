"""The `pause` section of a subscription."""

from __future__ import annotations

from busbridge.routing import PausePlan, load
from tests.routing.helpers import QUEUE, told


def source(pause: object) -> dict[str, object]:
    subscription = {"from": "orders", "pause": pause}
    return {**QUEUE, "services": {"stock": {"subscriptions": {"reserve": subscription}}}}


def pause_of(pause: object) -> PausePlan:
    (plan,) = load(source(pause), environ={}).subscriptions()
    return plan.pause


def test_it_is_on_by_default_and_off_by_0() -> None:
    assert pause_of(None) == pause_of({}) == PausePlan(after=10, probe=5)
    assert pause_of({"after": 0}).after == 0
    assert pause_of({"after": 3, "probe": "1s"}) == PausePlan(after=3, probe=1)


def test_tries_are_rarer_after_each_that_fails_up_to_a_minute_or_what_was_asked_for() -> None:
    assert [PausePlan().wait(failed) for failed in range(6)] == [5, 10, 20, 40, 60, 60]
    assert [PausePlan(probe=90).wait(failed) for failed in (0, 9999)] == [90, 90]


def test_a_probe_at_once_is_a_fault() -> None:
    (problem,) = told(source({"probe": "0s"}))
    assert problem == "services.stock.subscriptions.reserve.pause.probe: it must be longer than zero"
