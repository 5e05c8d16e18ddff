"""`exactly_once: true`: refused, with the alternative named, where no transaction of a broker can hold it (T23)."""

from __future__ import annotations

import pytest

from busbridge.routing import load
from tests.routing.helpers import faults, told

KEY = "services.stock.subscriptions.reserve.exactly_once"


def exact(kind: str = "stream", store: object = None, **keys: object) -> dict[str, object]:
    subscription = {"from": "orders", "exactly_once": True, **keys}
    return {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"orders": {"kind": kind, "transport": "broker"}},
        "services": {"stock": {"store": store, "subscriptions": {"reserve": subscription}}},
    }


@pytest.mark.parametrize("value", [True, False])
def test_a_subscription_of_a_stream_may_ask_for_it(value: object) -> None:
    (plan,) = load(exact(exactly_once=value), environ={}).subscriptions()
    assert plan.exactly_once is value


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_it_is_for_streams_and_elsewhere_a_store_is_named(kind: str) -> None:
    (fault,) = faults(exact(kind))
    assert str(fault).startswith(f"the mapping: {KEY}: it is from stream to stream, and orders is a {kind}")
    assert "services.stock.store" in (fault.hint or "")


def test_it_is_refused_with_a_store_which_is_the_alternative() -> None:
    (fault,) = faults(exact(store={"url": "sqlite:///stock.db"}))
    assert str(fault).startswith(f"the mapping: {KEY}: the service has a store")
    assert "with a store the effects of a message happen once" in (fault.hint or "")


def test_a_store_that_can_t_be_read_is_told_once_and_is_one() -> None:
    assert told(exact(store={"url": "nowhere"})) == [
        "services.stock.store.url: not a URL",
        f"{KEY}: the service has a store, and no transaction holds both the store and the broker",
    ]


def test_attempts_that_wait_are_refused() -> None:
    (found,) = told(exact(ordered=False, retry={"first": "1s"}))
    assert found.startswith("services.stock.subscriptions.reserve.retry: attempts that wait would hold up")


def test_immediate_attempts_are_fine() -> None:
    (plan,) = load(exact(retry={"attempts": 5}), environ={}).subscriptions()
    assert plan.retry.attempts == plan.retry.immediate == 5
