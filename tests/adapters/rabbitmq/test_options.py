"""Settings are checked before anything connects; a password never shows."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from busbridge.routing import Tls, TransportSettings
from busbridge_rabbitmq import RabbitMQTransport, _options


def problems(**changes):
    settings = TransportSettings("rabbitmq", changes.pop("url", "amqp://broker"), **changes)
    return [str(fault) for fault in RabbitMQTransport.check(settings)]


def test_right_settings_have_no_fault():
    assert problems(client={"heartbeat": 0, "close_timeout": 3, "connection_name": "shop"}) == []


def test_an_unknown_client_setting_names_the_one_that_was_meant():
    (problem,) = problems(client={"hartbeat": 5})
    assert "client.hartbeat" in problem
    assert "did you mean 'heartbeat'?" in problem


@pytest.mark.parametrize("value", ["5", True, -1, 1.5])
def test_a_value_that_does_not_fit_is_a_fault(value):
    assert len(problems(client={"heartbeat": value})) == 1


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"mechanism": "SCRAM-SHA-256"}, "mechanism"),
        ({"mechanism": "EXTERNAL"}, "client certificate"),
        ({"url": "amqp://"}, "names no host"),
        ({"client": {"frame_max": 4096}}, "at least 8192"),
    ],
)
def test_what_rabbitmq_can_not_do_is_a_fault(changes, part):
    (problem,) = problems(**changes)
    assert part in problem


def test_files_that_are_missing_or_no_certificates_are_faults(tmp_path):
    (problem,) = problems(tls=Tls(ca=tmp_path / "none.pem"))
    assert "does not exist" in problem
    (tmp_path / "ca.pem").write_text("no certificate")
    (problem,) = problems(tls=Tls(ca=tmp_path / "ca.pem"))
    assert "can't be used" in problem


def test_the_url_gives_host_port_and_virtual_host():
    settings = TransportSettings("rabbitmq", "amqp://broker:1234/%2Fshop", user="u", password=SecretStr("p"))
    (made,) = _options.parameters(settings, _options.Options.of(settings), "publishing")
    assert (made.host, made.port, made.virtual_host) == ("broker", 1234, "/shop")
    assert (made.credentials.username, made.credentials.password) == ("u", "p")


def test_several_hosts_are_the_nodes_of_one_cluster():
    settings = TransportSettings("rabbitmq", "amqp://u:p@one:1234,two,[::1]:9/shop")
    made = _options.parameters(settings, _options.Options.of(settings), "publishing")
    assert [(each.host, each.port) for each in made] == [("one", 1234), ("two", 5672), ("::1", 9)]
    assert {each.virtual_host for each in made} == {"shop"}
    assert _options.broker(settings) == "amqp://one:1234,two:5672,::1:9/shop"


def test_a_brokers_address_shows_neither_user_nor_password():
    settings = TransportSettings("rabbitmq", "amqp://anna@broker/shop", user="anna", password=SecretStr("secret"))
    assert _options.broker(settings) == "amqp://broker:5672/shop"
    assert "secret" not in repr(RabbitMQTransport.__new__(RabbitMQTransport).__class__)
