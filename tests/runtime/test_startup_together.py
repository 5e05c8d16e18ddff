"""Faults of the files and of the services joined with them: one error, and each mistake in it once."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from busbridge import Bus, ConfigurationError, Service, load
from busbridge.routing import read
from busbridge.runtime import InstalledTransports, MemoryTransports, faults, serve
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved

FILE = """\
transports:
  rabbit: {url: "amqp://localhost"}
destinations:
  orders: {kind: queu, transport: rabbit}
routes:
  shop.placed: {to: ordrs}
services:
  stock:
    subscriptions:
      unload: {from: orders}
"""


def stock() -> Service[None]:
    """Fits the configuration that the tests share."""
    service = Service("stock", publishes=[Placed, Reserved])
    service.subscription("reserve").handles(Placed)(lambda message: None)
    return service


def told(config: dict[str, Any], service: Service[Any] | None = None) -> list[str]:
    found = faults([service or stock()], read(config, environ={}), InstalledTransports())
    return [f"{'.'.join(map(str, each.location.path))}: {each.problem}" for each in found]


async def opened_by_bus(file):
    async with Bus(stock(), file, transports=MemoryTransports()):
        pass


async def opened_by_harness(file):
    async with harness(stock(), config=[file]):
        pass


async def opened_by_serve(file):
    await serve([stock()], file, transports=MemoryTransports())


@pytest.mark.parametrize("opened", [opened_by_bus, opened_by_harness, opened_by_serve])
async def test_whoever_has_file_and_services_tells_the_faults_of_both_in_the_order_of_the_file(opened, tmp_path):
    file = tmp_path / "busbridge.yaml"
    file.write_text(FILE)
    with pytest.raises(ConfigurationError) as caught:
        await opened(str(file))
    assert [(each.location.line, ".".join(map(str, each.location.path))) for each in caught.value.faults] == [
        (4, "destinations.orders.kind"),
        (5, "routes"),
        (6, "routes.shop.placed.to"),
        (9, "services.stock.subscriptions"),
        (10, "services.stock.subscriptions.unload"),
    ]
    assert str(caught.value).startswith("5 faults in the configuration:")


async def test_serving_tells_the_faults_of_all_services_before_any_opens(config):
    opened = []
    lists = Service("stock", lifespan=lambda: opened.append("stock"))
    audit = Service("audit")
    audit.subscription("note").handles(Placed)(lambda message: None)
    with pytest.raises(ConfigurationError) as caught:
        await serve([lists, audit], config, transports=MemoryTransports())
    assert "'reserve'" in str(caught.value)
    assert "'note'" in str(caught.value)
    assert opened == []


async def test_a_configuration_that_was_loaded_before_is_taken_as_it_is(config):
    with pytest.raises(ConfigurationError) as caught:
        await opened_by_bus(load({**config, "routes": {}}))
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("routes",), []),
        (("routes", "shop.placed"), "orders"),
        (("routes", "shop.placed", "to"), []),
        (("routes", "shop.placed", "to"), "Orders"),
        (("routes", "shop.placed", "to"), "ordrs"),
        (("routes", "shop.placed", "to"), "${NOWHERE}"),
        (("services",), []),
        (("services", "stock"), "reserve"),
        (("services", "stock", "subscriptions"), ["reserve"]),
        (("services", "stock", "subscriptions", "reserve"), "orders"),
        (("services", "stock", "subscriptions", "reserve", "from"), "Orders"),
        (("services", "stock", "subscriptions", "reserve", "from"), "ordrs"),
        (("services", "stock", "subscriptions", "reserve", "from"), "${NOWHERE}"),
        (("services", "stock", "subscriptions", "reserve", "retry"), 5),
        (("destinations",), []),
        (("destinations", "orders"), "queue"),
        (("destinations", "orders", "kind"), "queu"),
        (("destinations", "orders", "transport"), "rabit"),
        (("transports",), []),
        (("transports", "rabbit"), "amqp://localhost"),
        (("transports", "rabbit", "url"), "amqp:localhost"),
        (("transports", "rabbit", "url"), "ampq://localhost"),
        (("transports", "rabbit", "url"), "${NOWHERE}"),
        (("include",), "nowhere.yaml"),
    ],
    ids=lambda each: ".".join(each) if isinstance(each, tuple) else str(each),
)
def test_what_could_not_be_read_is_not_told_to_be_missing(config, path, value):
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (problem,) = told(config)
    assert problem.startswith(f"{'.'.join(path)}: ")


@pytest.mark.parametrize(
    "path",
    [
        ("routes",),
        ("services",),
        ("services", "stock", "subscriptions"),
        ("services", "stock", "subscriptions", "reserve", "from"),
    ],
)
def test_what_stands_under_a_mistyped_key_is_not_told_to_be_missing(config, path):
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[f"{path[-1]}x"] = inner.pop(path[-1])
    assert told(config) == [f"{'.'.join(path)}x: unknown key"]


def test_a_name_that_no_configuration_takes_is_told_once(config):
    config["services"]["Stock"] = config["services"].pop("stock")
    config["routes"]["shop.Placed"] = config["routes"].pop("shop.placed")
    assert [each.partition(": ")[0] for each in told(config)] == ["routes.shop.Placed", "services.Stock"]


def test_text_that_is_no_yaml_hides_what_it_may_hold_and_nothing_of_the_code(tmp_path):
    file = tmp_path / "busbridge.yaml"
    file.write_text(FILE + "  [")
    service = stock()
    service.subscription("ship")
    found = faults([service], read(file, environ={}), MemoryTransports())
    assert ["not valid YAML" in found[0].problem, *(each.problem for each in found[1:])] == [
        True,
        "subscription 'ship' of service 'stock' has no handler",
    ]


def test_what_stands_under_a_key_that_is_there_twice_is_not_told_to_be_missing(tmp_path):
    file = tmp_path / "busbridge.yaml"
    good = FILE.replace("queu,", "queue,").replace("ordrs", "orders").replace("unload", "reserve")
    file.write_text(f"{good}routes:\n  shop.reserved: {{to: orders}}\n")
    (fault,) = faults([stock()], read(file, environ={}), MemoryTransports())
    assert fault.problem == "the key is there twice"


def test_an_override_that_fits_no_key_hides_nothing(config):
    del config["routes"]["shop.reserved"]
    reading = read(config, environ={"BUSBRIDGE_ROUTES__SHOP_RESERVED__TO": "events"})
    assert len(faults([stock()], reading, MemoryTransports())) == 2


def test_a_subscription_with_a_fault_is_still_seen_to_be_without_a_handler(config):
    config["services"]["stock"]["subscriptions"]["lost"] = {"from": "nowhere"}
    where, missing = told(config)
    assert where == "services.stock.subscriptions.lost.from: there is no destination 'nowhere'"
    assert "the configuration has a subscription 'lost', the code of service 'stock' has not" in missing


def test_a_fault_of_one_entry_hides_none_of_another(config):
    config["routes"] = {"shop.placed": {"to": "Orders"}}
    config["services"]["stock"]["subscriptions"] = {"rserve": {"from": "ordrs"}}
    assert sorted(each.partition(":")[0] for each in told(config)) == [
        "routes",
        "routes.shop.placed.to",
        "services.stock.subscriptions",
        "services.stock.subscriptions.rserve",
        "services.stock.subscriptions.rserve.from",
    ]


def test_a_missing_extra_is_told_with_the_faults_of_the_file(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "busbridge_rabbitmq", None)
    config["transports"]["log"]["url"] = "kafka"
    assert [each.partition(":")[0] for each in told(config)] == ["transports.log.url", "transports.rabbit.url"]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"mechanism": "PLAIN", "user": "${NOWHERE}"}, "transports.log.user"),
        ({"mechanism": "PLAIN", "usr": "me"}, "transports.log.usr"),
        ({"password": "x", "user": "${NOWHERE}"}, "transports.log.user"),
        ({"tls": {"key": "key.pem", "certificate": "${NOWHERE}"}}, "transports.log.tls.certificate"),
    ],
)
def test_a_transport_is_not_blamed_for_lacking_what_could_not_be_read(config, keys, fault):
    config["transports"]["log"] |= keys
    assert [each.partition(":")[0] for each in told(config)] == [fault]


def test_settings_of_a_client_are_checked_beside_other_faults_of_its_transport(config):
    config["transports"]["log"] |= {"user": "${NOWHERE}", "client": {"compresion.type": "zstd"}}
    assert [each.partition(":")[0] for each in told(config)] == [
        "transports.log.user",
        "transports.log.client.compresion.type",
    ]


def test_what_the_tests_share_has_no_fault(config):
    assert told(config) == []
