"""The store of a service, and the attempts that wait in it."""

from __future__ import annotations

import pytest

from busbridge.routing import Backoff, OnFailure, RetryPlan, load
from tests.routing.helpers import QUEUE, told

SQLITE = {"url": "sqlite:///stock.db"}
SECRET = "hunter2xyz"


def with_store(store: object = None, retry: object = None, **keys: object) -> dict[str, object]:
    subscription = {"from": "orders", "retry": retry, **keys}
    return {**QUEUE, "services": {"stock": {"store": store, "subscriptions": {"reserve": subscription}}}}


def retry_of(**retry: object) -> RetryPlan:
    (plan,) = load(with_store(SQLITE, retry), environ={}).subscriptions()
    return plan.retry


@pytest.mark.parametrize(
    ("url", "shown", "upgrade"),
    [
        ("sqlite:///stock.db", "sqlite:///stock.db", True),
        (f"postgresql://shop:{SECRET}%40@db:5433/shop?ssl=require", "postgresql://db:5433/shop", False),
    ],
)
def test_a_store_has_a_week_batches_of_two_hundred_and_upgrades_itself_where_it_is_a_file(
    url: str, shown: str, *, upgrade: bool
) -> None:
    store = load(with_store({"url": url}), environ={}).services["stock"].store
    assert store is not None
    assert (store.window, store.batch, store.upgrade, store.shown) == (7 * 86400, 200, upgrade, shown)
    assert store.url.get_secret_value() == url
    assert SECRET not in f"{store!r} {store}"


@pytest.mark.parametrize(("keys", "limit"), [({}, 100_000), ({"outbox_limit": "0"}, 0), ({"outbox_limit": "7"}, 7)])
def test_the_outbox_has_a_limit_unless_there_is_to_be_none(keys: dict[str, str], limit: int) -> None:
    store = load(with_store(SQLITE | keys), environ={}).services["stock"].store
    assert store is not None
    assert store.outbox_limit == limit


@pytest.mark.parametrize("value", ["-1", "many", "1.5", "1000000001"])
def test_a_limit_of_the_outbox_that_is_none_is_a_fault(value: str) -> None:
    (problem,) = told(with_store({**SQLITE, "outbox_limit": value}))
    assert problem.startswith("services.stock.store.outbox_limit: ")


def test_a_service_without_a_store_has_none() -> None:
    assert load(with_store(), environ={}).services["stock"].store is None


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        f"mysql://u:{SECRET}@host/db",
        f"u:{SECRET}@host",
        f"postgresql://u:{SECRET}@/db",
        f"postgresql://u:{SECRET}@host",
        f"postgresql://u:a/{SECRET}@host/db",
        f"postgresql://u:{SECRET}@host:port/db",
        f"postgresql://u:{SECRET}@[host/db",
    ],
)
def test_a_url_that_names_no_store_is_one_fault_that_shows_no_secret(url: str) -> None:
    (problem,) = told(with_store({"url": url}, {"first": "1s"}))
    assert problem.startswith("services.stock.store.url: ")
    assert SECRET not in problem


def test_all_attempts_follow_at_once_unless_delays_are_asked_for() -> None:
    assert retry_of(attempts=8) == RetryPlan(attempts=8, immediate=8)
    assert retry_of(attempts=8, immediate=8) == RetryPlan(attempts=8, immediate=8)
    assert retry_of(attempts=8, first="2s") == RetryPlan(attempts=8, immediate=3, first=2)
    assert retry_of(attempts=3, max="1m") == RetryPlan(attempts=3, immediate=2, longest=60)
    assert retry_of(attempts=4, immediate=1, backoff="fixed") == RetryPlan(4, 1, backoff=Backoff.FIXED)


def test_delays_double_up_to_the_longest_or_stay_as_they_are() -> None:
    growing = RetryPlan(attempts=5, immediate=1, first=1, longest=6)
    assert [growing.ceiling(number) for number in range(1, 5)] == [2, 4, 6, 6]
    assert growing.span == 18
    assert RetryPlan(attempts=3, immediate=1, first=5, backoff=Backoff.FIXED).span == 10


def ordered(store: object, retry: dict[str, object], **subscription: object) -> dict[str, object]:
    source = with_store(store, retry)
    source["destinations"] = {"orders": {"kind": "stream", "transport": "broker"}}
    source["services"]["stock"]["subscriptions"]["reserve"].update(subscription)  # type: ignore[index]
    return source


def test_delays_on_an_ordered_subscription_block_their_key_unless_it_is_to_be_parked() -> None:
    for source, expected in (
        (ordered(None, {"first": "1s"}), OnFailure.BLOCK),
        (ordered(SQLITE, {"first": "1s"}, on_failure="block"), OnFailure.BLOCK),
        (ordered(SQLITE, {"first": "1s"}, on_failure="park_key"), OnFailure.PARK_KEY),
        (ordered(SQLITE, {"first": "1s"}, ordered=False), None),
    ):
        assert load(source, environ={}).services["stock"].subscriptions["reserve"].on_failure is expected


def test_what_keeps_an_order_is_refused_where_there_is_none() -> None:
    (problem,) = told(ordered(SQLITE, {}, ordered=False, on_failure="block"))
    assert problem.startswith("services.stock.subscriptions.reserve.on_failure: ")
    assert "not ordered" in problem


def test_nothing_is_parked_without_a_store() -> None:
    (problem,) = told(ordered(None, {}, on_failure="park_key"))
    assert problem.startswith("services.stock.subscriptions.reserve.on_failure: messages are parked in a store")


def test_without_a_store_a_key_may_not_block_for_longer_than_brokers_wait() -> None:
    (problem,) = told(ordered(None, {"attempts": 20, "first": "10s"}))
    assert problem.startswith("services.stock.subscriptions.reserve.retry: its delays may last ")
    load(ordered(SQLITE, {"attempts": 20, "first": "10s"}), environ={})


@pytest.mark.parametrize(
    ("retry", "place"),
    [
        ({"immediate": 4, "first": "1s"}, "retry.immediate"),
        ({"immediate": 3, "first": "1s"}, "retry.first"),
        ({"attempts": 1, "max": "1m"}, "retry.max"),
        ({"first": "0s"}, "retry.first"),
        ({"first": "1m", "max": "1s"}, "retry.max"),
    ],
)
def test_numbers_that_contradict_each_other_are_a_fault(retry: dict[str, object], place: str) -> None:
    (problem,) = told(with_store(SQLITE, retry))
    assert problem.startswith(f"services.stock.subscriptions.reserve.{place}: ")


@pytest.mark.parametrize("retry", [{"attempts": 10, "first": "1m"}, {"attempts": 10, "limit": "7s"}])
def test_a_window_shorter_than_the_attempts_is_a_fault(retry: dict[str, object]) -> None:
    (problem,) = told(with_store({**SQLITE, "window": "1m"}, retry))
    assert problem.startswith("services.stock.store.window: shorter than the attempts of reserve may last")


def test_a_store_that_can_not_be_read_is_not_told_to_be_missing() -> None:
    (problem,) = told(with_store({"window": "1d"}, {"first": "1s"}))
    assert problem == "services.stock.store.url: it is required, and not there"
