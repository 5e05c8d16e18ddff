"""What is wrong is told whole: every fault at once, each with its place and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busbridge.routing import load
from tests.routing.helpers import QUEUE, faults, told, with_destination, write

if TYPE_CHECKING:
    from pathlib import Path


def test_faults_of_shape_and_of_reference_are_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "busbridge.yaml",
        """\
        transports:
          rabbitmq: {url: amqp://localhost, pasword: x}
        destinations:
          orders: {kind: queu, transport: rabbitmq}
          events: {kind: topic, transport: rabitmq}
        routes:
          shop.order-created: {to: [event, orders], form: x}
        services:
          inventory:
            subscriptions:
              stock: {from: oders, concurrency: 0}
        """,
    )
    found = faults(path)
    assert {each.location.file for each in found} == {str(path)}
    assert [(each.location.line, ".".join(map(str, each.location.path)), each.hint) for each in found] == [
        (2, "transports.rabbitmq.pasword", "did you mean password?"),
        (4, "destinations.orders.kind", "did you mean queue?"),
        (5, "destinations.events.transport", "did you mean rabbitmq?"),
        (7, "routes.shop.order-created.form", "known: to"),
        (7, "routes.shop.order-created.to.0", "did you mean events?"),
        (11, "services.inventory.subscriptions.stock.concurrency", None),
        (11, "services.inventory.subscriptions.stock.from", "did you mean orders?"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("kind", "queu", "found 'queu', allowed: queue, topic, stream"),
        ("partitions", "x", "found 'x', allowed: a whole number"),
        ("partitions", 0, "found '0': it must be greater than or equal to 1"),
        ("ttl", 30, "found '30': a duration needs a unit: 30s, 30m, 30h or 30d"),
        ("ttl", "5 minutes", "found '5 minutes': a duration is like 30d, 1h30m, 5s, 500ms or PT1H30M"),
        ("ttl", "999999999999w", "found '999999999999w': a duration of more than a million years"),
        ("ttl", "0s", "it must be longer than zero"),
        ("durable", "maybe", "found 'maybe': allowed: true, false"),
        ("name", ["a"], "found a list, allowed: text"),
        ("assume", "shop.order", "found 'shop.order': a contract is named with its version, like shop.order-created@2"),
        ("name", "", "a queue is named with 1 to 240 bytes of printable text"),
        ("partitions", 3, "a queue has shards only if it is ordered"),
        ("unrouted", "error", "a queue has no such key; it is for a topic"),
        ("retention", "30d", "a queue has no such key; it is for a stream"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(key: str, value: object, problem: str) -> None:
    assert told(with_destination(**{key: value})) == [f"destinations.orders.{key}: {problem}"]


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("topic", "ordered", True),
        ("topic", "max_length", 5),
        ("stream", "ttl", "3d"),
        ("stream", "durable", False),
        ("stream", "ordered", False),
        ("stream", "name", "with space"),
        ("queue", "compaction", True),
        ("queue", "replication", 3),
    ],
)
def test_a_key_that_means_nothing_for_the_kind_is_refused(kind: str, key: str, value: object) -> None:
    (problem,) = told(with_destination(kind=kind, **{key: value}))
    assert problem.startswith(f"destinations.orders.{key}: ")


@pytest.mark.parametrize(
    ("kind", "subscription", "key"),
    [
        ("queue", {"match": "a.#"}, "match"),
        ("queue", {"start": "latest"}, "start"),
        ("stream", {"durable": False}, "durable"),
        ("stream", {"headers": {"a": "b"}}, "headers"),
        ("queue", {"ordered": True}, "ordered"),
        ("topic", {"ordered": True}, "ordered"),
        ("topic", {"match": "a", "headers": {"a": "b"}}, "match"),
        ("topic", {"match_headers": "any"}, "match_headers"),
        ("topic", {"match": "a.b#"}, "match"),
        ("topic", {"match": "a..b"}, "match"),
        ("topic", {"match": "shop.order-*"}, "match"),
        ("stream", {"start": "yesterday"}, "start"),
        ("stream", {"start": "2026-03-01T00:00:00"}, "start"),
        ("queue", {"retry": {"attempts": 0}}, "retry.attempts"),
    ],
)
def test_a_subscription_that_its_destination_can_not_give_is_refused(
    kind: str, subscription: dict[str, object], key: str
) -> None:
    source = {
        **with_destination(kind=kind),
        "services": {"billing": {"subscriptions": {"pay": {"from": "orders", **subscription}}}},
    }
    (problem,) = told(source)
    assert problem.startswith(f"services.billing.subscriptions.pay.{key}: ")


def matching(*patterns: str) -> dict[str, object]:
    """A topic that two contracts are routed to, and a subscription of it."""
    return {
        **with_destination(kind="topic"),
        "routes": {"shop.order-created": {"to": "orders"}, "shop.order-paid": {"to": "orders"}},
        "services": {"billing": {"subscriptions": {"pay": {"from": "orders", "match": list(patterns)}}}},
    }


def test_a_misspelt_key_of_a_topic_is_refused_with_what_was_meant() -> None:
    (fault,) = faults(matching("shop.order-paid", "shop.order-craeted"))
    assert fault.location.path == ("services", "billing", "subscriptions", "pay", "match", 1)
    assert fault.problem == "no contract is routed to the topic with the key 'shop.order-craeted'"
    assert fault.hint is not None
    assert "did you mean shop.order-created?" in fault.hint


@pytest.mark.parametrize(
    "patterns",
    [
        ("shop.order-cancelled",),
        ("legacy.invoice",),
        ("shop.order-created-v2",),
        ("shop.order-created", "shop.orders-eu.paid-1"),
        ("shop.order-created", "shop.order-create"),
        ("shop.*", "shop.order-creatd"),
        ("shop.order-creat.#",),
    ],
)
def test_a_key_that_only_other_producers_write_is_allowed(patterns: tuple[str, ...]) -> None:
    load(matching(*patterns), environ={})


def test_a_key_is_not_refused_where_its_route_may_be_among_what_could_not_be_read() -> None:
    source = matching("shop.order-craeted")
    source["routes"] = {"shop.order-created": {"to": "orders"}, "shop.order-crated": {"too": "orders"}}
    assert not any("match" in each for each in told(source))


def test_a_key_of_a_coming_version_is_called_so() -> None:
    subscription = {"from": "orders", "retry": {"park": "true"}}
    (problem,) = told({**QUEUE, "services": {"billing": {"subscriptions": {"pay": subscription}}}})
    assert problem.endswith(": not available in this version")


@pytest.mark.parametrize("name", ["Orders", "orders_log", "-orders", "orders.", "a" * 101, ""])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    (problem,) = told({**QUEUE, "services": {name: {}}})
    assert "a name " in problem


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            {"services": {"stock": {"store": "sqlite:///x.db"}}},
            "services.stock.store: found 'sqlite:///x.db', allowed: a mapping, such as {url: ...}",
        ),
        (
            {"services": {"stock": {"store": "postgresql://me:secret@host/x"}}},
            "services.stock.store: found 'postgresql:***@host/x', allowed: a mapping, such as {url: ...}",
        ),
        (
            {"routes": {"post.x": "parcels"}},
            "routes.post.x: found 'parcels', allowed: a mapping, such as {to: ...}",
        ),
        (
            {"destinations": {"orders": "queue"}},
            "destinations.orders: found 'queue', allowed: a mapping, such as {kind: ..., transport: ...}",
        ),
        ({"publish": "30s"}, "publish: found '30s', allowed: a mapping"),
        ({"services": ["stock"]}, "services: found a list, allowed: a mapping"),
    ],
)
def test_where_a_mapping_belongs_the_keys_are_told_that_it_must_have(source: dict[str, object], problem: str) -> None:
    assert told(source) == [problem]


def test_one_attempt_is_no_plural() -> None:
    retry = {"attempts": 1, "immediate": 2}
    source = {**QUEUE, "services": {"stock": {"subscriptions": {"reserve": {"from": "orders", "retry": retry}}}}}
    assert told(source) == ["services.stock.subscriptions.reserve.retry.immediate: found 2, but there is 1 attempt"]


def test_a_required_key_that_is_missing_is_named() -> None:
    assert told({"transports": {"broker": {}}}) == ["transports.broker.url: it is required, and not there"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("localhost:5672", "not a URL"),
        ("amqp://host:99999", "what stands for the host is no host:port"),
        ("amqp://host?heartbeat=5", "a URL has no query or fragment here"),
        ("rabbit://host", "there is no transport for the scheme 'rabbit'"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(url: str, problem: str) -> None:
    assert told({"transports": {"broker": {"url": url}}}) == [f"transports.broker.url: {problem}"]


def test_tls_can_not_be_off_where_the_scheme_asks_for_it() -> None:
    (problem,) = told({"transports": {"broker": {"url": "amqps://host", "tls": False}}})
    assert problem == "transports.broker.tls: found false, but amqps:// asks for TLS"


def test_a_reference_to_an_entry_with_faults_of_its_own_is_no_second_fault() -> None:
    source = {**with_destination(kind="queu"), "routes": {"shop.order": {"to": "orders"}}}
    assert len(faults(source)) == 1


def test_a_route_names_a_destination_once_and_keys_for_topics_only() -> None:
    assert told({**QUEUE, "routes": {"shop.order": {"to": ["orders", "orders"]}}}) == [
        "routes.shop.order.to.1: orders stands here twice"
    ]
    assert told({**QUEUE, "routes": {"shop.order": {"to": {"destination": "orders", "routing_key": "x"}}}}) == [
        "routes.shop.order.to: routing_key and headers are for a topic; orders is a queue"
    ]


@pytest.mark.parametrize(
    "services",
    [
        {"a": ["b.c"], "a.b": ["c"]},
        {"a": ["b", "b.dead"]},
        {"billing": ["pay"]},
    ],
)
def test_two_things_of_one_name_on_a_broker_are_refused(services: dict[str, list[str]]) -> None:
    source = {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {
            "events": {"kind": "topic", "transport": "broker"},
            "other": {"kind": "queue", "transport": "broker", "name": "billing.pay"},
        },
        "services": {
            service: {"subscriptions": {name: {"from": "events"} for name in names}}
            for service, names in services.items()
        },
    }
    (problem,) = told(source)
    assert "already belongs to" in problem


def test_a_key_that_is_there_twice_names_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "busbridge.yaml", "stop: {grace: 5s}\npublish: {}\nstop: {grace: 6s}\n")
    (fault,) = faults(path)
    assert (fault.location.line, fault.problem, fault.hint) == (3, "the key is there twice", "first in line 1")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2", 1),
        ("a: 1\n  b: 2", 2),
        ("- a\n- b", 1),
        ("a: *nothing", 1),
        ("a: &x [*x]", 1),
        ("? [a]\n: b", 1),
        ("a: 1\n---\nb: 2", 2),
    ],
)
def test_what_is_no_configuration_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert faults(write(tmp_path, "busbridge.yaml", text))[0].location.line == line


@pytest.mark.parametrize("text", ["transports:\n\trabbit: {}", "a: b\n \tc: d", "a:\tb:\n\t\tc"])
def test_a_tab_is_called_one(tmp_path: Path, text: str) -> None:
    (fault,) = faults(write(tmp_path, "busbridge.yaml", text))
    assert (fault.problem, fault.hint) == ("not valid YAML: a tab: YAML indents with spaces", None)
    assert fault.location.line


@pytest.mark.parametrize("text", ["[" * 1200, "a: " + "{a: " * 200 + "}" * 200])
def test_what_is_nested_without_end_is_told(tmp_path: Path, text: str) -> None:
    assert faults(write(tmp_path, "busbridge.yaml", text))


def test_aliases_that_stand_for_billions_of_values_are_told(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert any("too large" in each.problem for each in faults(write(tmp_path, "busbridge.yaml", bomb)))


def test_words_that_yaml_takes_for_booleans_stay_words(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "busbridge.yaml",
        """\
        transports: {on: {url: "memory://", password: 0123, user: no}}
        destinations: {yes: {kind: queue, transport: on, name: 1_000}}
        """,
    )
    config = load(path, environ={})
    password = config.transports["on"].password
    assert password is not None
    assert (password.get_secret_value(), config.transports["on"].user) == ("0123", "no")
    assert config.destinations["yes"].physical == "1_000"


def test_a_merge_key_fills_in_what_is_not_there(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "busbridge.yaml",
        """\
        transports: {broker: {url: "memory://"}}
        destinations:
          a: &queue {kind: queue, transport: broker, ttl: 1h}
          b: {<<: *queue, ttl: 2h}
        """,
    )
    config = load(path, environ={})
    assert config.destinations["b"].ttl == 2 * (config.destinations["a"].ttl or 0)
