"""One mistake is told once: not again by what follows from it, and without hiding what is wrong beside it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from busbridge.routing import read
from busbridge.routing._model import File
from busbridge.routing._shape import below, shape_of
from tests.routing.helpers import QUEUE, told, with_destination

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("good.yaml").read_text())


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a configuration but its root."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def keys_of_the_model() -> Iterator[tuple[str | int, ...]]:
    """The places in the good file whose last key the model prescribes."""
    for path in places(GOOD):
        if isinstance(path[-1], str) and path[-1] in shape_of(annotation_of(path[:-1])).fields:
            yield path


def annotation_of(path: tuple[str | int, ...]) -> Any:
    annotation: Any = File
    for key in path:
        annotation = None if isinstance(key, int) else below(annotation, key)
    return annotation


def changed(path: tuple[str | int, ...], value: object = None, rename: str | None = None) -> dict[str, Any]:
    """The good file with another value at `path`, or with its last key renamed."""
    tree = copy.deepcopy(GOOD)
    inner: Any = tree
    for key in path[:-1]:
        inner = inner[key]
    if rename:
        inner[rename] = inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    return tree


@pytest.mark.parametrize("path", [*places(GOOD)], ids=lambda path: ".".join(map(str, path)))
def test_a_value_that_can_not_be_read_is_one_fault_wherever_it_stands(path: tuple[str | int, ...]) -> None:
    (fault,) = read(changed(path, "${NOWHERE}"), environ={}).faults
    assert fault.problem == "the variable NOWHERE is not set"
    assert fault.location.path == path


@pytest.mark.parametrize("path", [*places(GOOD)], ids=lambda path: ".".join(map(str, path)))
def test_a_value_of_a_wrong_kind_is_told_at_its_place_alone(path: tuple[str | int, ...]) -> None:
    faults = read(changed(path, [[[]]]), environ={}).faults
    assert faults
    assert all(each.location.path[: len(path)] == path for each in faults), [str(each) for each in faults]


@pytest.mark.parametrize("path", [*keys_of_the_model()], ids=lambda path: ".".join(map(str, path)))
def test_a_mistyped_key_is_one_fault(path: tuple[str | int, ...]) -> None:
    (fault,) = read(changed(path, rename=f"{path[-1]}x"), environ={}).faults
    assert fault.problem == "unknown key"
    assert fault.hint == f"did you mean {path[-1]}?"


@pytest.mark.parametrize("kind", [{"kind": "queu"}, {"kind": "${NOWHERE}"}, {}])
def test_a_destination_of_no_known_kind_hides_no_other_fault_of_its_entry(kind: dict[str, str]) -> None:
    destination = {**kind, "transport": "brokr", "ttl": "0s", "partitions": "x", "colour": "red"}
    problems = told({**QUEUE, "destinations": {"orders": destination}})
    assert sorted(each.partition(":")[0] for each in problems) == [
        "destinations.orders.colour",
        "destinations.orders.kind",
        "destinations.orders.partitions",
        "destinations.orders.transport",
        "destinations.orders.ttl",
    ]


def test_a_destination_of_no_known_transport_hides_no_other_fault_of_its_entry() -> None:
    problems = told(with_destination(transport="Broker", retention="3d"))
    assert len(problems) == 2
    assert "destinations.orders.retention: a queue has no such key; it is for a stream" in problems


def test_a_destination_of_no_known_kind_hides_no_fault_of_what_refers_to_it() -> None:
    source = {
        **with_destination(kind="topc"),
        "routes": {"shop.order-created": {"to": ["orders", "nowhere"]}},
        "services": {
            "billing": {
                "subscriptions": {
                    "pay": {"from": "orders", "match": ["shop..#"], "headers": {"a": "b"}},
                    "owe": {"from": "orders", "match": "shop.order-*", "match_headers": "any"},
                }
            }
        },
    }
    assert sorted(each.partition(": ")[0] for each in told(source)) == [
        "destinations.orders.kind",
        "routes.shop.order-created.to.1",
        "services.billing.subscriptions.owe.match_headers",
        "services.billing.subscriptions.pay.match",
        "services.billing.subscriptions.pay.match.0",
    ]


@pytest.mark.parametrize("url", [{"url": "amqp//localhost"}, {"url": []}, {}])
def test_a_transport_without_a_readable_url_hides_no_other_fault_of_its_entry(url: dict[str, object]) -> None:
    transport = {**url, "tls": {"key": "key.pem"}, "patience": "soon"}
    assert sorted(each.partition(":")[0] for each in told({"transports": {"broker": transport}})) == [
        "transports.broker.patience",
        "transports.broker.tls.key",
        "transports.broker.url",
    ]


def test_a_subscription_of_no_known_destination_hides_no_other_fault_of_its_entry() -> None:
    subscription = {"from": "Orders", "match": "a.b#", "headers": {"a": "b"}}
    source = {**QUEUE, "services": {"billing": {"subscriptions": {"pay": subscription}}}}
    assert [each.partition(":")[0] for each in told(source)] == [
        "services.billing.subscriptions.pay.from",
        "services.billing.subscriptions.pay.match",
        "services.billing.subscriptions.pay.match",
    ]


def test_an_override_that_can_not_be_read_is_told_alone() -> None:
    (problem,) = told(QUEUE, environ={"BUSBRIDGE_TRANSPORTS__BROKER__URL": "["})
    assert "not valid YAML" in problem


@pytest.mark.parametrize(
    ("include", "problem"),
    [("gone.yaml", "gone.yaml can't be read"), ("${NOWHERE}/a.yaml", "the variable NOWHERE is not set")],
)
def test_what_an_unreadable_include_may_hold_is_not_told_to_be_missing(
    tmp_path: Path, include: str, problem: str
) -> None:
    path = tmp_path / "busbridge.yaml"
    path.write_text(f"include: {include}\nroutes: {{shop.a: {{to: orders}}}}\ntransports: {{broker: {{user: me}}}}")
    (found,) = told(path)
    assert problem in found
