"""A good file, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from busbridge.routing import Binding, Config, Kind, Others, load

GOOD = Path(__file__).with_name("good.yaml")


@pytest.fixture(scope="module")
def config() -> Config:
    return load(GOOD, environ={})


def test_a_config_is_returned_as_it_is(config: Config) -> None:
    assert load(config) is config


def test_nothing_is_a_configuration_without_anything() -> None:
    assert load(environ={}) == Config()


def test_a_destination_has_its_own_name_on_the_broker_unless_it_says_otherwise(config: Config) -> None:
    assert config.destinations["orders"].physical == "orders"
    assert config.destinations["legacy"].physical == "old.orders.q"
    assert not config.destinations["legacy"].provision
    assert config.destinations["legacy"].assume == "shop.process-order@1"


def test_durations_are_read_in_any_of_their_forms(config: Config) -> None:
    assert config.destinations["charges"].ttl == timedelta(hours=1, minutes=30)
    assert config.destinations["order-log"].retention == timedelta(days=30)
    assert (config.publish_timeout, config.stop_grace) == (5.0, 60.0)


def test_a_stream_is_ordered_and_a_queue_is_not_unless_asked(config: Config) -> None:
    ordered = {name for name, each in config.destinations.items() if each.ordered}
    assert ordered == {"order-log", "charges"}


def test_client_settings_keep_the_type_they_are_written_with(config: Config) -> None:
    client = dict(config.transports["kafka"].client)
    assert client == {"compression.type": "zstd", "linger.ms": 5, "enable.idempotence": True, "client.id": "42"}
    assert type(client["enable.idempotence"]) is bool


def test_a_route_has_a_target_for_each_destination(config: Config) -> None:
    targets = config.routes["shop.order-created"].targets
    assert [each.destination.name for each in targets] == ["order-events", "order-log"]


def test_the_routing_key_is_the_contracts_name_unless_the_route_says_otherwise(config: Config) -> None:
    assert config.routes["shop.order-created"].targets[0].routing_key == "shop.order-created"
    assert config.routes["shop.payment-failed"].targets[0].routing_key == "money.failed"


def test_a_service_without_keys_only_publishes(config: Config) -> None:
    assert dict(config.services["checkout"].subscriptions) == {}


def test_a_wildcard_inside_a_word_becomes_the_keys_that_are_routed_to_the_topic(config: Config) -> None:
    plan = config.services["inventory"].subscriptions["reserve-stock"]
    assert plan.bindings == (Binding("shop.order-cancelled"), Binding("shop.order-created"))
    assert (plan.concurrency, plan.attempts) == (16, 8)


def test_a_subscription_may_match_headers(config: Config) -> None:
    plan = config.services["inventory"].subscriptions["europe"]
    assert plan.bindings == (Binding(None, {"region": "eu"}, match_all=False),)
    assert not plan.durable


def test_others_are_dead_letters_on_a_queue_and_discarded_elsewhere(config: Config) -> None:
    others = {plan.name: plan.others for plan in config.subscriptions()}
    assert others["work"] is Others.DEAD_LETTER
    assert others["reserve-stock"] is others["revenue"] is Others.DISCARD


def test_order_is_the_destinations_unless_the_subscription_gives_it_up(config: Config) -> None:
    assert not config.services["analytics"].subscriptions["revenue"].ordered
    source = {**_stream(), "services": {"a": {"subscriptions": {"b": {"from": "log"}}}}}
    assert load(source, environ={}).services["a"].subscriptions["b"].ordered


def test_a_start_is_a_word_an_offset_or_a_moment(config: Config) -> None:
    assert config.services["analytics"].subscriptions["revenue"].start.at == datetime(2026, 3, 1, tzinfo=UTC)
    starts = {"a": "latest", "b": 17}
    for name, start in starts.items():
        source = {**_stream(), "services": {"s": {"subscriptions": {name: {"from": "log", "start": start}}}}}
        assert load(source, environ={}).services["s"].subscriptions[name].start.at == start


def test_a_topology_holds_the_subscriptions_of_every_service(config: Config) -> None:
    """A publisher that starts alone provisions what the others subscribe with, or the first copies are lost (T16)."""
    topology = config.topology("rabbitmq")
    assert {plan.group for plan in topology.subscriptions} == {
        "inventory.reserve-stock",
        "inventory.europe",
        "inventory.work",
    }
    assert {each.name for each in config.topology("kafka").destinations} == {"order-log"}


def test_receivers_are_the_subscriptions_that_match(config: Config) -> None:
    created, _ = config.routes["shop.order-created"].targets
    (cancelled,) = config.routes["shop.order-cancelled"].targets
    assert [plan.name for plan in config.receivers(created)] == ["reserve-stock"]
    assert [plan.name for plan in config.receivers(cancelled)] == ["reserve-stock", "europe"]


def test_a_place_is_the_file_and_line_of_the_key_or_of_the_nearest_above(config: Config) -> None:
    place = config.locate(("destinations", "charges", "ttl"))
    assert (place.file, place.line) == (str(GOOD), 8)
    nearest = config.locate(("destinations", "charges", "unheard", "of"))
    assert (nearest.line, nearest.path) == (8, ("destinations", "charges", "unheard", "of"))


def test_the_repr_counts(config: Config) -> None:
    assert repr(config) == "<Config: 2 transports, 5 destinations, 4 routes, 3 services>"


def test_the_catalog_ends_in_a_slash() -> None:
    assert load({"catalog": "https://example.org/contracts"}, environ={}).catalog == "https://example.org/contracts/"


@pytest.mark.parametrize("scheme", ["amqps", "kafkas"])
def test_a_scheme_that_asks_for_tls_gets_it(scheme: str) -> None:
    loaded = load({"transports": {"broker": {"url": f"{scheme}://host"}}}, environ={})
    assert loaded.transports["broker"].tls is not None


def test_files_of_tls_lie_beside_the_file_that_names_them(tmp_path: Path) -> None:
    path = tmp_path / "busbridge.yaml"
    path.write_text("transports: {broker: {url: 'amqps://host', tls: {ca: ca.pem, verify_hostname: off}}}")
    tls = load(path, environ={}).transports["broker"].tls
    assert tls is not None
    assert (tls.ca, tls.verify_hostname) == (tmp_path / "ca.pem", False)


def _stream() -> dict[str, object]:
    return {
        "transports": {"broker": {"url": "memory://"}},
        "destinations": {"log": {"kind": Kind.STREAM, "transport": "broker"}},
    }
