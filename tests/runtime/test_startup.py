"""What is refused before anything connects: all of it in one error, each fault with its place."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from busbridge import Bus, ConfigurationError, Contract, Service, load
from busbridge.routing import read
from busbridge.runtime import InstalledTransports, MemoryTransports, faults
from tests.runtime.conftest import Placed, Reserved


class PlacedAgain(Contract, name="shop.placed", version=1):
    other: str


class PlacedLater(Contract, name="shop.placed", version=3, readable_by=3):
    order_id: str


def problems(service, config, transports=None):
    """Of a configuration that has no faults itself."""
    return [str(each) for each in faults([service], read(load(config)), transports or MemoryTransports())]


def handled(service, name="reserve", contract=Placed):
    service.subscription(name).handles(contract)(lambda message: None)
    return service


def test_a_service_that_fits_has_no_faults(config):
    assert problems(handled(Service("stock", publishes=[Reserved])), config) == []


async def test_all_faults_come_in_one_error(config):
    service = handled(Service("stock", publishes=[Placed, Reserved, PlacedAgain]), "reserv")
    del config["routes"]["shop.reserved"]
    with pytest.raises(ConfigurationError) as caught:
        await Bus(service, config, transports=MemoryTransports()).__aenter__()
    text = str(caught.value)
    assert "two contracts are shop.placed@1" in text
    assert "publishes 'shop.reserved', which has no route" in text
    assert "the code of service 'stock' has a subscription 'reserv', the configuration has not" in text
    assert "the configuration has a subscription 'reserve', the code of service 'stock' has not" in text
    assert "did you mean 'reserve'?" in text


def test_faults_name_the_file_and_the_line(config, tmp_path):
    file = tmp_path / "busbridge.yaml"
    file.write_text(
        dedent("""\
        transports:
          memory: {url: "memory://"}
        destinations:
          orders: {kind: queue, transport: memory}
        routes:
          shop.placed: {to: orders}
        services:
          stock:
            subscriptions:
              reserve: {from: orders}
        """)
    )
    (fault,) = problems(Service("stock"), str(file), InstalledTransports())
    assert f"{file}:10: services.stock.subscriptions.reserve" in fault


def test_a_missing_step_between_versions_is_seen_at_start(config):
    service = Service("stock", publishes=[Placed])
    service.subscription("reserve").handles(PlacedLater)(lambda message: None)
    assert any("can't be lifted" in each for each in problems(service, config))


def test_a_subscription_without_a_handler_is_a_fault(config):
    service = Service("stock")
    service.subscription("reserve")
    assert any("has no handler" in each for each in problems(service, config))


def on_topic(config, **keys):
    config["services"]["stock"]["subscriptions"]["reserve"] = {"from": "events", **keys}
    return config


@pytest.mark.parametrize("source", [3, None])
async def test_what_is_no_configuration_is_told_with_what_is_one(source):
    with pytest.raises(TypeError, match=f"a YAML file, a mapping, .* found one of type {type(source).__name__}"):
        await Bus(Service("stock"), source).__aenter__()


def test_a_handler_of_what_is_routed_past_its_subscription_is_a_fault(config):
    (fault,) = problems(handled(Service("stock"), contract=Reserved), on_topic(config, match=["shop.placed", "a.*"]))
    assert "services.stock.subscriptions.reserve.match: 'shop.reserved' is handled here, and never comes" in fault
    assert "routed to events with the key 'shop.reserved', and this takes shop.placed, a.*" in fault
    assert "add shop.reserved to `match`" in fault


@pytest.mark.parametrize(
    "keys", [{}, {"match": "shop.*"}, {"match": "shop.res*"}, {"headers": {"region": "eu"}}, {"match": "shop.reserved"}]
)
def test_a_handler_of_what_its_subscription_may_take_is_none(config, keys):
    assert problems(handled(Service("stock"), contract=Reserved), on_topic(config, **keys)) == []


def test_what_only_other_producers_write_may_be_handled_whatever_its_key(config):
    assert problems(handled(Service("stock"), contract=Placed), on_topic(config, match="legacy.key")) == []
    config["destinations"]["events"]["assume"] = "shop.reserved@1"
    assert problems(handled(Service("stock"), contract=Reserved), on_topic(config, match="legacy.key")) == []


def test_a_misspelt_match_is_told_once(config):
    config = on_topic(config, match="shop.reservd")
    found = faults([handled(Service("stock"), contract=Reserved)], read(config), MemoryTransports())
    assert [each.hint.partition("?")[0] for each in found] == ["did you mean shop.reserved"]


def test_a_transport_whose_extra_is_not_installed_is_named_with_its_remedy(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "busbridge_rabbitmq", None)
    (fault,) = problems(handled(Service("stock")), config, InstalledTransports())
    assert (
        "transports.rabbit.url: no transport is installed for amqp:// (install it: pip install 'busbridge[rabbitmq]')"
        in fault
    )


def test_what_the_transport_can_not_do_is_refused(config):
    config["destinations"]["orders"] = {"kind": "stream", "transport": "rabbit"}
    (fault,) = problems(handled(Service("stock")), config, InstalledTransports())
    assert "offers no stream" in fault
    assert "destinations.orders" in fault
