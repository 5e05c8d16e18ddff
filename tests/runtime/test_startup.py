"""What is refused before anything connects: all of it in one error, each fault with its place."""

from __future__ import annotations

import asyncio
import logging
import sys
from textwrap import dedent

import pytest

from busbridge import Bus, ConfigurationError, Contract, Service, load
from busbridge.routing import read
from busbridge.runtime import InstalledTransports, MemoryTransports, faults, serve
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved


class PlacedAgain(Contract, name="shop.placed", version=1):
    other: str


class PlacedLater(Contract, name="shop.placed", version=3, readable_by=3):
    order_id: str


class Reserve(Contract, name="shop.reserve", version=1):
    order_id: str


def problems(service, config, transports=None):
    """Of a configuration that has no faults itself."""
    return [str(each) for each in faults([service], read(load(config)), transports or MemoryTransports())]


STORE = {"url": "sqlite:///shop.db"}


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


def test_two_services_of_one_name_are_refused_wherever_they_are_given(config):
    twice = [handled(Service("stock")), handled(Service("stock"))]
    (fault,) = faults(twice, read(load(config)), MemoryTransports())
    assert str(fault) == "2 services are named 'stock' (replicas of one are processes of their own)"
    with pytest.raises(ConfigurationError, match="2 services are named 'stock'"):
        asyncio.run(serve(twice, config, transports=MemoryTransports()))
    with pytest.raises(ConfigurationError, match="2 services are named 'stock'"):
        asyncio.run(_opened(harness(*twice, config=config)))


async def _opened(context):
    async with context:
        pass


def test_a_misspelt_section_of_a_service_with_subscriptions_is_the_one_fault_told(config, tmp_path):
    config["services"]["stokc"] = config["services"].pop("stock")
    config["services"]["billing"] = {}
    (fault,) = problems(handled(Service("stock")), config)
    assert "services.stokc: the configuration has no service 'stock', and none that was given" in fault
    assert fault.endswith("(did you mean 'stock'?)")


def test_a_service_that_is_not_there_is_not_taken_for_one_that_was_given_or_has_another_name(config):
    stock, stocks, billing = handled(Service("stock")), handled(Service("stocks")), handled(Service("billing"))
    found = faults([stock, stocks, billing], read(load(config)), MemoryTransports())
    assert [each.problem.partition(" has a")[0] for each in found] == [
        "the code of service 'stocks'",
        "the code of service 'billing'",
    ]


def test_a_misspelt_store_of_a_service_that_only_publishes_is_not_left_out_in_silence(config):
    config["services"]["chekout"] = {"store": STORE}
    (fault,) = problems(Service("checkout"), config)
    assert "services.chekout: the configuration has no service 'checkout'" in fault
    assert fault.endswith("(did you mean 'checkout'? if not, add an empty section `checkout:`)")
    config["services"]["checkout"] = {}
    assert problems(Service("checkout"), config) == []


@pytest.mark.parametrize(
    "section",
    [
        {"stocks": {"store": STORE, "subscriptions": {"count": {"from": "events"}}}},
        {"stocks": {}},
        {"stock-keeping": {"store": STORE}},
    ],
    ids=["subscribes", "says nothing", "is not near"],
)
def test_a_section_that_may_be_another_process_is_no_fault_of_a_service_that_only_publishes(config, section):
    config["services"] = section
    assert problems(Service("stock"), config) == []


async def test_services_of_near_names_open_together_of_which_one_has_no_section(config):
    config["services"]["stocks"] = {"store": STORE}
    async with harness(Service("stocks"), Service("stock_"), config=config) as bus:
        assert repr(bus.bus("stock_"))


def test_a_route_that_another_contract_has_is_not_taken_for_a_missing_one(config):
    config["routes"]["shop.reserve"] = config["routes"].pop("shop.reserved")
    (fault,) = problems(handled(Service("stock", publishes=[Reserved])), config)
    assert "publishes 'shop.reserved', which has no route" in fault
    assert fault.endswith("(did you mean 'shop.reserve'?)")
    (fault,) = problems(handled(Service("stock", publishes=[Reserve, Reserved])), config)
    assert fault.endswith("(add:  routes: {shop.reserved: {to: DESTINATION}})")


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


async def missed(service, config, caplog):
    """What the service is warned of when it opens."""
    assert problems(service, config) == []
    async with Bus(service, config, transports=MemoryTransports()):
        return [each.message for each in caplog.records if each.levelno == logging.WARNING]


async def test_what_is_routed_past_its_handler_is_warned_of(config, caplog):
    service = handled(Service("stock"), contract=Reserved)
    (line,) = await missed(service, on_topic(config, match=["shop.placed", "a.*"]), caplog)
    assert line.startswith("shop.reserved is routed to events with the key shop.reserved, past stock.reserve")
    assert "takes shop.placed, a.*: add shop.reserved to its `match`" in line


@pytest.mark.parametrize(
    "keys", [{}, {"match": "shop.*"}, {"match": "shop.res*"}, {"headers": {"region": "eu"}}, {"match": "shop.reserved"}]
)
async def test_what_its_subscription_may_take_is_not(config, keys, caplog):
    assert await missed(handled(Service("stock"), contract=Reserved), on_topic(config, **keys), caplog) == []


async def test_what_only_other_producers_write_may_be_handled_whatever_its_key(config, caplog):
    service = handled(Service("stock"), contract=Placed)
    assert await missed(service, on_topic(config, match="legacy.key"), caplog) == []
    config["destinations"]["events"]["assume"] = "shop.reserved@1"
    service = handled(Service("stock"), contract=Reserved)
    assert await missed(service, on_topic(config, match="legacy.key"), caplog) == []


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
