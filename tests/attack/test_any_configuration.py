"""A service meets any configuration: they fit, or every fault is told in words, once and with its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from busbridge import Config, ConfigurationError, Service
from busbridge.routing import read
from busbridge.runtime import InstalledTransports, MemoryTransports, faults, joined
from tests.runtime.conftest import Placed, Reserved

GOOD: dict[str, Any] = {
    "transports": {"rabbit": {"url": "amqp://localhost"}, "log": {"url": "kafka://localhost:9092"}},
    "destinations": {
        "orders": {"kind": "queue", "transport": "rabbit", "ttl": "3d"},
        "events": {"kind": "topic", "transport": "rabbit", "unrouted": "ignore"},
        "history": {"kind": "stream", "transport": "log", "partitions": 4},
    },
    "routes": {"shop.placed": {"to": "orders"}, "shop.reserved": {"to": ["events", "history"]}},
    "services": {
        "stock": {
            "subscriptions": {
                "reserve": {"from": "orders", "prefetch": 5},
                "watch": {"from": "events", "match": "shop.reser*"},
            }
        }
    },
    "stop": {"grace": "5s"},
}
_WORDS = ["orders", "Orders", "topic", "queu", "kafka://", "amqp://h", "${X}", "0s", "shop.placed", "rabbit", "-1", ""]
_values = st.recursive(
    st.sampled_from(_WORDS) | st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=3),
    max_leaves=6,
)
_environs = st.dictionaries(
    st.sampled_from(["BUSBRIDGE_TRANSPORTS__LOG__URL", "BUSBRIDGE_ROUTES", "BUSBRIDGE_ROUTES__X", "BUSBRIDGE_STOP__X"]),
    st.sampled_from(["", "x", "[", "{a: b}", "5s"]),
    max_size=2,
)
_quick = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def stock() -> Service[None]:
    service = Service("stock", publishes=[Placed, Reserved])
    service.subscription("reserve").handles(Placed)(lambda message: None)
    service.subscription("watch").handles(Reserved)(lambda message: None)
    return service


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """The good configuration with up to three places changed, renamed or removed."""
    tree = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        _change(tree, draw)
    return tree


def _change(node: Any, draw: st.DrawFn) -> None:
    while node:
        key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], (dict, list)) and draw(st.integers(0, 3)):
            node = node[key]
            continue
        value = node.pop(key) if draw(st.booleans()) else draw(_values)
        if isinstance(node, dict) and draw(st.booleans()):
            node[draw(st.sampled_from([*_WORDS, f"{key}x"]))] = value
        return


@_quick
@given(changed() | st.dictionaries(st.sampled_from([*GOOD, *_WORDS]), _values, max_size=4), _environs)
def test_they_fit_or_every_fault_is_told_once_with_its_place(source, environ):
    reading = read(source, environ=environ)
    found = faults([stock()], reading, InstalledTransports())
    assert set(reading.faults) <= set(found)
    assert len(set(found)) == len(found)
    assert all(each.problem and each.location.file for each in found), found
    assert str(ConfigurationError(found))


@_quick
@given(changed())
def test_joining_gives_a_configuration_or_one_error_with_the_faults_of_both(source):
    found = faults([stock()], read(source), MemoryTransports())
    if not found:
        assert isinstance(joined([stock()], source, MemoryTransports()), Config)
        return
    with pytest.raises(ConfigurationError) as caught:
        joined([stock()], source, MemoryTransports())
    assert list(caught.value.faults) == found


@_quick
@given(st.data())
def test_a_value_that_can_not_be_read_is_the_only_fault_wherever_it_stands(data):
    tree: Any = copy.deepcopy(GOOD)
    node = tree
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], (dict, list)) or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = "${NOWHERE}"
    (fault,) = faults([stock()], read(tree, environ={}), InstalledTransports())
    assert fault.problem == "the variable NOWHERE is not set"
