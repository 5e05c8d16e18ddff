"""The brokers that the other tests stand on: they are what they claim to be, and their faults are real."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

import pika
import pika.exceptions
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic

from integration.brokers import KINDS, BrokerSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.brokers import Broker, Certificates, Kafka, PostgreSQL, RabbitMQ

_WAIT_SECONDS = 30


def _rabbitmq_version(rabbitmq: RabbitMQ) -> str:
    with rabbitmq.connect() as connection:
        return connection._impl.server_properties["version"]


def test_rabbitmq_is_version_4_with_management(rabbitmq: RabbitMQ) -> None:
    assert _rabbitmq_version(rabbitmq).startswith("4.")
    assert "rabbitmq_management" in rabbitmq.exec("rabbitmq-plugins", "list", "--enabled", "--minimal")


def test_the_oldest_rabbitmq_is_3_10(rabbitmq_3_10: RabbitMQ) -> None:
    assert _rabbitmq_version(rabbitmq_3_10).startswith("3.10.")


def _make_kafka_topic(kafka: Kafka, name: str) -> None:
    admin = kafka.admin()  # its futures end with it
    for future in admin.create_topics([NewTopic(name, 1, 1)]).values():
        future.result(_WAIT_SECONDS)


def _produce(kafka: Kafka, kafka_topic: str, value: bytes) -> None:
    producer = kafka.producer(enable_idempotence=True)
    producer.produce(kafka_topic, value)
    assert producer.flush(_WAIT_SECONDS) == 0


def _consume_one(kafka: Kafka, kafka_topic: str) -> bytes | None:
    consumer = kafka.consumer(kafka_topic)
    try:
        consumer.subscribe([kafka_topic])
        message = consumer.poll(_WAIT_SECONDS)
        return message and message.value()
    finally:
        consumer.close()


def test_kafka_keeps_what_a_bare_producer_sent_for_a_bare_consumer(kafka: Kafka) -> None:
    _make_kafka_topic(kafka, "bare")
    _produce(kafka, "bare", b"hello")
    assert _consume_one(kafka, "bare") == b"hello"


def test_kafkas_own_console_consumer_reaches_the_broker_from_inside(kafka: Kafka) -> None:
    _make_kafka_topic(kafka, "console")
    _produce(kafka, "console", b"hello")
    read = ("--topic", "console", "--from-beginning", "--max-messages", "1", "--timeout-ms", "20000")
    assert kafka.tool("console-consumer", *read) == "hello"


def test_rabbitmq_killed_and_started_has_its_port_and_its_durable_messages(private_rabbitmq: RabbitMQ) -> None:
    url, inside = private_rabbitmq.url, private_rabbitmq.management_url
    with private_rabbitmq.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"hello", pika.BasicProperties(delivery_mode=2))
        private_rabbitmq.flush_declarations()
        private_rabbitmq.kill()
        with pytest.raises(pika.exceptions.AMQPError):
            channel.queue_declare("kept", passive=True)
    private_rabbitmq.start()
    assert (private_rabbitmq.url, private_rabbitmq.management_url) == (url, inside)
    with private_rabbitmq.connect() as connection:
        _, _, body = connection.channel().basic_get("kept", auto_ack=True)
    assert body == b"hello"


@pytest.mark.parametrize("fault", ["restart", "kill_and_start"])
def test_kafka_after_a_fault_has_its_port_and_its_messages(private_kafka: Kafka, fault: str) -> None:
    _make_kafka_topic(private_kafka, fault)
    _produce(private_kafka, fault, b"hello")
    getattr(private_kafka, fault)()
    assert _consume_one(private_kafka, fault) == b"hello"


def test_a_paused_broker_says_nothing_until_it_goes_on(private_rabbitmq: RabbitMQ, private_kafka: Kafka) -> None:
    brokers: tuple[Broker, ...] = (private_rabbitmq, private_kafka)
    for broker in brokers:
        broker.pause()
        assert not broker.answers()
        broker.unpause()
        broker.wait_until_ready()


def _is_blocked(connection: pika.BlockingConnection, seen: list[str], expected: str) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while expected not in seen and time.monotonic() < deadline:
        connection.process_data_events(time_limit=0.2)
    return expected in seen


def test_a_memory_alarm_blocks_publishers_until_it_ends(private_rabbitmq: RabbitMQ) -> None:
    seen: list[str] = []
    with private_rabbitmq.connect() as connection:
        connection.add_on_connection_blocked_callback(lambda *_: seen.append("blocked"))
        connection.add_on_connection_unblocked_callback(lambda *_: seen.append("unblocked"))
        private_rabbitmq.memory_alarm(True)
        connection.channel().basic_publish("", "nobody", b"this publisher is blocked for it")
        assert _is_blocked(connection, seen, "blocked")
        private_rabbitmq.memory_alarm(False)
        assert _is_blocked(connection, seen, "unblocked")


def test_a_broker_is_healed_of_every_fault(private_kafka: Kafka) -> None:
    private_kafka.pause()
    private_kafka.heal()
    assert private_kafka.answers()
    private_kafka.stop()
    private_kafka.heal()
    assert private_kafka.answers()


def _open_tls(rabbitmq: RabbitMQ, ca: Path, client: Any = None) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    if client:
        context.load_cert_chain(client.certificate, client.key)
    parameters = pika.URLParameters(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(context, "127.0.0.1")
    with pika.BlockingConnection(parameters) as connection:
        connection.channel()


def test_rabbitmq_with_optional_client_certificates(rabbitmq_tls: RabbitMQ, certificates: Certificates) -> None:
    _open_tls(rabbitmq_tls, certificates.ca)
    _open_tls(rabbitmq_tls, certificates.ca, certificates.client)
    with pytest.raises((pika.exceptions.AMQPError, OSError)):
        _open_tls(rabbitmq_tls, certificates.other_ca)


def test_rabbitmq_with_required_client_certificates(rabbitmq_mutual_tls: RabbitMQ, certificates: Certificates) -> None:
    _open_tls(rabbitmq_mutual_tls, certificates.ca, certificates.client)
    for refused in (None, certificates.stranger):
        with pytest.raises((pika.exceptions.AMQPError, OSError)):
            _open_tls(rabbitmq_mutual_tls, certificates.ca, refused)


def _lists_kafka_topics(kafka: Kafka, port: int, **settings: Any) -> bool:
    admin = kafka.admin(bootstrap_servers=f"127.0.0.1:{port}", **settings)
    try:
        return bool(admin.list_topics(timeout=5).brokers)
    except KafkaException:
        return False


def test_kafka_with_client_certificates(kafka_secure: Kafka, certificates: Certificates) -> None:
    port, tls = kafka_secure.secure.ssl, {"security_protocol": "SSL", "ssl_ca_location": str(certificates.ca)}
    for pair, welcome in ((certificates.client, True), (certificates.stranger, False)):
        own = {"ssl_certificate_location": str(pair.certificate), "ssl_key_location": str(pair.key)}
        assert _lists_kafka_topics(kafka_secure, port, **tls, **own) is welcome
    assert not _lists_kafka_topics(kafka_secure, port, **tls)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_kafka_with_passwords(kafka_secure: Kafka, certificates: Certificates, protocol: str, mechanism: str) -> None:
    secure = kafka_secure.secure
    port = {"SASL_PLAINTEXT": secure.sasl_plaintext, "SASL_SSL": secure.sasl_ssl}[protocol]
    ca = {"ssl_ca_location": str(certificates.ca)} if protocol == "SASL_SSL" else {}
    login = {"security_protocol": protocol, "sasl_mechanism": mechanism, "sasl_username": secure.user, **ca}
    assert _lists_kafka_topics(kafka_secure, port, sasl_password=secure.password, **login)
    assert not _lists_kafka_topics(kafka_secure, port, sasl_password="wrong", **login)


def test_a_user_who_is_denied_a_kafka_topic_cannot_see_it(kafka_secure: Kafka) -> None:
    _make_kafka_topic(kafka_secure, "secret")
    secure = kafka_secure.secure
    login = {"sasl_mechanism": "PLAIN", "sasl_username": secure.user, "sasl_password": secure.password}
    kafka_secure.deny(secure.user, "secret")
    address = f"127.0.0.1:{secure.sasl_plaintext}"
    admin = kafka_secure.admin(bootstrap_servers=address, security_protocol="SASL_PLAINTEXT", **login)
    assert "secret" not in admin.list_topics(timeout=_WAIT_SECONDS).topics


def test_sets_side_by_side_do_not_meet(
    broker_set: BrokerSet, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS.values():  # a broker that the environment names is every set's
        monkeypatch.delenv(kind.variable, raising=False)
    other = BrokerSet(f"{broker_set.name}-other")
    try:
        second = other.up(["postgresql"])["postgresql"]
        assert second.port != postgresql.port
        assert other.running()["postgresql"].url == second.url
    finally:
        other.down()
    assert other.running() == {}
    assert postgresql.answers()


def test_a_new_broker_is_of_this_test_alone(kafka: Kafka, new_kafka: Callable[..., Kafka]) -> None:
    _make_kafka_topic(kafka, "shared")
    own = new_kafka(settings="auto.create.topics.enable=true")
    assert own.url != kafka.url
    assert "shared" not in own.admin().list_topics(timeout=_WAIT_SECONDS).topics
