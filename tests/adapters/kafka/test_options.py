"""What a Kafka client is made with, and what of a user's `client:` is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from busbridge.routing import Destination, Kind, SubscriptionPlan, Tls, TransportSettings
from busbridge_kafka import KafkaTransport
from busbridge_kafka import _options as options

PLAIN = TransportSettings("kafka", "kafka://a:9092,b")
PLAN = SubscriptionPlan("shop", "stock", Destination("log", Kind.STREAM, "kafka", "log"))


def faults(**changes):
    return list(KafkaTransport.check(replace(PLAIN, **changes)))


def consumer(settings):
    return options.consumer_options(settings, PLAN, print, print)


def test_every_host_of_the_url_is_asked_and_has_a_port():
    assert options.bootstrap(PLAIN) == "a:9092,b:9092"
    assert options.bootstrap(replace(PLAIN, url="kafkas://[::1]")) == "[::1]:9092"


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        (PLAIN, "PLAINTEXT"),
        (replace(PLAIN, url="kafkas://a"), "SSL"),
        (replace(PLAIN, tls=Tls(ca=Path("ca.pem"))), "SSL"),
        (replace(PLAIN, user="u", password=SecretStr("p")), "SASL_PLAINTEXT"),
        (replace(PLAIN, url="kafkas://a", user="u", password=SecretStr("p")), "SASL_SSL"),
    ],
)
def test_tls_and_login_are_independent(settings, protocol):
    assert consumer(settings)["security.protocol"] == protocol


def test_a_login_without_a_mechanism_is_plain():
    assert consumer(replace(PLAIN, user="u", password=SecretStr("p")))["sasl.mechanism"] == "PLAIN"


def test_the_tls_files_and_the_host_check_reach_the_client():
    tls = Tls(Path("ca.pem"), Path("me.pem"), Path("me.key"), SecretStr("k"), verify_hostname=False)
    made = consumer(replace(PLAIN, tls=tls))
    assert made["ssl.ca.location"] == "ca.pem"
    assert made["ssl.certificate.location"] == "me.pem"
    assert made["ssl.key.location"] == "me.key"
    assert made["ssl.key.password"] == "k"
    assert made["ssl.endpoint.identification.algorithm"] == "none"


def test_an_option_goes_only_to_the_clients_that_know_it():
    settings = replace(PLAIN, client={"linger.ms": 7, "session.timeout.ms": 6000, "socket.nagle.disable": True})
    made = options.producer_options(settings, print, print)
    assert made["linger.ms"] == 7
    assert made["socket.nagle.disable"] is True
    assert "session.timeout.ms" not in made
    assert consumer(settings)["session.timeout.ms"] == 6000
    assert "linger.ms" not in consumer(settings)


def test_partitions_move_one_by_one_in_either_group_protocol():
    assert consumer(PLAIN)["partition.assignment.strategy"] == "cooperative-sticky"
    newer = consumer(replace(PLAIN, client={"group.protocol": "consumer"}))
    assert "partition.assignment.strategy" not in newer
    assert newer["group.protocol"] == "consumer"


def test_a_sound_configuration_has_no_faults():
    assert faults(client={"compression.type": "zstd", "linger.ms": 20, "session.timeout.ms": 6000}) == []


@pytest.mark.parametrize(
    "name", ["acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset", "partitioner"]
)
def test_what_would_break_a_promise_is_refused_with_the_reason(name):
    (fault,) = faults(client={name: "x"})
    assert fault.location.path == ("client", name)
    assert "can't be set" in fault.problem
    assert options.REFUSED[name] in fault.problem


def test_a_typo_is_located_and_gets_a_suggestion():
    (fault,) = faults(client={"compresion.type": "zstd"})
    assert fault.location.path == ("client", "compresion.type")
    assert fault.hint == "did you mean 'compression.type'?"


def test_a_value_that_the_client_refuses_is_a_fault():
    (fault,) = faults(client={"linger.ms": "soon"})
    assert "linger.ms" in fault.problem
    assert "soon" in fault.problem


def test_all_faults_come_at_once():
    found = faults(url="kafka://", mechanism="EXTERNAL", client={"acks": 1, "nonsense": 1})
    assert [fault.location.path[0] for fault in found] == ["url", "mechanism", "client", "client"]


def test_a_mechanism_needs_a_user():
    (fault,) = faults(mechanism="SCRAM-SHA-256")
    assert "needs a user" in fault.problem


def test_no_secret_shows():
    settings = replace(PLAIN, user="u", password=SecretStr("hush"))
    assert "hush" not in repr(KafkaTransport(settings))


def test_what_a_transaction_took_back_is_never_read():
    assert consumer(PLAIN)["isolation.level"] == "read_committed"
    (fault,) = faults(client={"isolation.level": "read_uncommitted"})
    assert "what a transaction took back is never handled" in fault.problem


@pytest.mark.parametrize("client", [{}, {"transaction.timeout.ms": 2_000}, {"message.timeout.ms": 60_000}])
def test_a_producer_of_transactions_takes_no_longer_than_they_do(client):
    made = options.transactional_options(replace(PLAIN, client=client), "shop.stock.1", print)
    Producer(made).close()
    assert made["transactional.id"] == "shop.stock.1"
    assert made["socket.timeout.ms"] == made["transaction.timeout.ms"] == client.get("transaction.timeout.ms", 10_000)
    assert "message.timeout.ms" not in made
