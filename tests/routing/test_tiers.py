"""Delays without a store: fixed tiers at the broker, and where they are refused."""

from __future__ import annotations

import pytest

from busbridge.routing import SubscriptionPlan, load
from tests.routing.helpers import QUEUE, told


def source(retry: object, *, destination: object = None, **keys: object) -> dict[str, object]:
    subscription = {"from": "orders", "retry": retry, **keys}
    made: dict[str, object] = {**QUEUE, "services": {"stock": {"subscriptions": {"reserve": subscription}}}}
    return made if destination is None else {**made, "destinations": {"orders": destination}}


def plan_of(**retry: object) -> SubscriptionPlan:
    (plan,) = load(source(retry), environ={}).subscriptions()
    return plan


def test_there_are_no_tiers_where_no_delay_is_asked_for_or_a_store_keeps_them() -> None:
    assert plan_of(attempts=8).retry.tiers == ()
    with_store = source({"first": "1s"})
    with_store["services"]["stock"]["store"] = {"url": "sqlite:///stock.db"}  # type: ignore[index]
    (plan,) = load(with_store, environ={}).subscriptions()
    assert (plan.retry.tiers, plan.retry.delayed) == ((), 1)


@pytest.mark.parametrize(
    ("retry", "tiers"),
    [
        ({"attempts": 100, "first": "1s"}, (1, 4, 16, 64, 300)),
        ({"attempts": 8, "first": "1s"}, (1, 4, 16)),
        ({"attempts": 9, "immediate": 1, "first": "100ms", "max": "1s"}, (0.1, 0.4, 1)),
        ({"attempts": 5, "first": "4m", "max": "5m"}, (240, 300)),
        ({"attempts": 5, "first": "4m", "backoff": "fixed"}, (240,)),
        ({"attempts": 5, "first": "70ms", "max": "70ms"}, (0.07,)),
    ],
)
def test_the_tiers_are_few_four_times_as_long_each_and_only_those_that_attempts_need(
    retry: dict[str, object], tiers: tuple[float, ...]
) -> None:
    assert plan_of(**retry).retry.tiers == tiers


def test_a_delay_is_rounded_up_to_its_tier_and_never_down() -> None:
    retry = plan_of(attempts=12, immediate=1, first="1s").retry
    waited = [retry.tiers[retry.tier(number)] for number in range(1, 12)]
    assert waited == [1, 4, 4, 16, 16, 64, 64, 300, 300, 300, 300]
    assert all(tier >= retry.wait(number) for number, tier in enumerate(waited, start=1))
    assert [retry.tier_for(seconds) for seconds in (0, 1, 1.5, 299, 10_000)] == [0, 0, 1, 4, 4]


def test_each_tier_has_a_place_named_by_its_length() -> None:
    plan = plan_of(attempts=9, immediate=1, first="1500ms", max="1m")
    assert plan.waiting == ("stock.reserve.retry.1500ms", "stock.reserve.retry.6s", "stock.reserve.retry.24s",
                            "stock.reserve.retry.60s")  # fmt: skip


def test_an_ordered_subscription_has_none_since_its_key_waits_in_its_place() -> None:
    (plan,) = load(
        source({"first": "1s"}, destination={"kind": "stream", "transport": "broker"}), environ={}
    ).subscriptions()
    assert (plan.retry.tiers, plan.retry.delayed) == ((), 1)


@pytest.mark.parametrize(
    ("destination", "keys"),
    [
        ({"kind": "queue", "transport": "broker", "durable": False}, {}),
        ({"kind": "topic", "transport": "broker"}, {"durable": False}),
    ],
)
def test_what_may_go_by_itself_can_not_wait_for_what_was_put_off(
    destination: dict[str, object], keys: dict[str, object]
) -> None:
    (problem,) = told(source({"first": "1s"}, destination=destination, **keys))
    assert problem.startswith("services.stock.subscriptions.reserve.retry.first: a delayed attempt waits at the broker")


def test_a_destination_with_the_name_of_a_waiting_place_is_a_fault() -> None:
    met = source({"first": "1s"})
    met["destinations"] = {**QUEUE["destinations"], "stock.reserve.retry.1s": QUEUE["destinations"]["orders"]}  # type: ignore[dict-item,index]
    (problem,) = told(met)
    assert "stock.reserve.retry.1s" in problem
