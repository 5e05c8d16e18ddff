"""The `cloudevents` package reads what busbridge writes, and the reverse."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from cloudevents.core.bindings import amqp, kafka, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from busbridge.contract import ContractInfo
from busbridge.envelope import Encoder, Event, decode, new_id, timestamp

INFO = ContractInfo("shop.order-created", 2, 1)
BODY = '{"order_id": "Käse"}'.encode()

THEIRS = CloudEvent(
    {
        "id": "id-1",
        "source": "/billing",
        "type": "shop.order-created",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "dataschema": "https://shop.example/contracts/shop.order-created/2",
        "time": datetime(2026, 1, 31, 12, 0, tzinfo=UTC),
        "partitionkey": "Käse",
        "readableby": "1",
    },
    {"order_id": "Käse"},
)


def check_theirs(event: Event) -> None:
    assert (event.id, event.source, event.type) == ("id-1", "/billing", "shop.order-created")
    assert (event.version, event.readable_by) == (2, 1)
    assert datetime.fromisoformat(event.attributes["time"]) == datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    assert event.data is not None
    assert json.loads(event.data) == {"order_id": "Käse"}
    assert event.key == "Käse"


def test_they_read_ours_on_kafka():
    identity, time = new_id(), timestamp()
    written = Encoder(INFO, prefix="ce_", source="checkout").headers(identity, time, key="k", correlation_id="c")
    message = kafka.KafkaMessage({name: value.encode() for name, value in written}, b"k", BODY)
    event = kafka.from_binary(message, JSONFormat(), CloudEvent)
    assert (event.get_id(), event.get_source(), event.get_type()) == (identity, "checkout", "shop.order-created")
    assert event.get_time() == datetime.fromisoformat(time)
    assert event.get_dataschema() == INFO.schema_uri()
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("readableby") == "1"
    assert event.get_extension("correlationid") == "c"
    assert event.get_data() == {"order_id": "Käse"}


def test_they_read_ours_on_rabbitmq():
    identity = new_id()
    written = dict(Encoder(INFO, prefix="ce-", source="checkout").headers(identity, timestamp()))
    message = rabbitmq.RabbitMQMessage(written, written.pop("content-type"), BODY)
    event = rabbitmq.from_binary(message, JSONFormat(), CloudEvent)
    assert (event.get_id(), event.get_type()) == (identity, "shop.order-created")
    assert event.get_data() == {"order_id": "Käse"}


def test_we_read_theirs_on_kafka_in_both_modes():
    for message in (kafka.to_binary(THEIRS, JSONFormat()), kafka.to_structured(THEIRS, JSONFormat())):
        check_theirs(decode(list(message.headers.items()), message.value))


def test_we_read_theirs_on_rabbitmq_in_both_modes():
    for message in (rabbitmq.to_binary(THEIRS, JSONFormat()), rabbitmq.to_structured(THEIRS, JSONFormat())):
        check_theirs(decode([("content-type", message.content_type), *message.headers.items()], message.body))


def test_we_read_theirs_on_amqp_1_0_in_both_modes():
    for message in (amqp.to_binary(THEIRS, JSONFormat()), amqp.to_structured(THEIRS, JSONFormat())):
        headers = [*message.properties.items(), *message.application_properties.items()]
        check_theirs(decode([(name, as_a_client_has_it(value)) for name, value in headers], message.application_data))


def as_a_client_has_it(value: object) -> object:
    """The package leaves AMQP's timestamp in milliseconds; clients hand it over as a datetime."""
    return datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else value
