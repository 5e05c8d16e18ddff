"""What others see of our messages, and what we make of theirs: Kafka's own console consumer, a bare pika client."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pika

from busbridge import Bus, Context, Service
from integration.whole.conftest import Sold

if TYPE_CHECKING:
    from integration.brokers import Kafka, RabbitMQ

BODY = {"order_id": "A7", "cents": 1250}


async def publish_one(config: dict[str, Any]) -> str:
    async with Bus(Service("shop", publishes=[Sold]), config) as bus:
        return await bus.publish(Sold(**BODY), headers={"tenant": "nörth"})


async def handled(config: dict[str, Any], name: str, count: int, produce: Any) -> list[tuple[str, Sold, str, str]]:
    """What the service's two subscriptions handled of what `produce` wrote: place, message, id, source."""
    service, seen, complete = Service(name), [], asyncio.Event()

    for place in ("work", "keep"):

        @service.subscription(place).handles(Sold)
        async def handler(message: Sold, context: Context, place: str = place) -> None:
            seen.append((place, message, context.message_id, context.source))
            if len(seen) == count:
                complete.set()

    async with Bus(service, config):
        await asyncio.to_thread(produce)
        await asyncio.wait_for(complete.wait(), 30)
    return sorted(seen)


async def test_kafkas_console_consumer_shows_the_documented_headers_and_plain_json(config, kafka: Kafka):
    message_id = await publish_one(config)
    printed = await asyncio.to_thread(
        kafka.tool,
        "console-consumer",
        *("--topic", config["destinations"]["history"]["name"], "--from-beginning", "--max-messages", "1"),
        *("--timeout-ms", "30000", "--property", "print.headers=true", "--property", "print.key=true"),
    )
    headers_text, key, body = printed.strip().split("\t")
    headers = dict(each.split(":", 1) for each in headers_text.split(","))
    assert headers.pop("ce_time").endswith("Z")
    assert headers == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": message_id,
        "ce_type": "shop.sold",
        "ce_source": "shop",
        "ce_dataschema": "busbridge:contracts/shop.sold/1",
        "ce_partitionkey": "A7",
        "tenant": "nörth",
    }
    assert key == "A7"
    assert json.loads(body) == BODY


async def test_a_bare_pika_client_shows_the_documented_headers_and_plain_json(config, rabbitmq: RabbitMQ):
    message_id = await publish_one(config)
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    try:
        _, properties, body = connection.channel().basic_get(config["destinations"]["orders"]["name"], auto_ack=True)
    finally:
        connection.close()
    headers = dict(properties.headers)
    assert headers.pop("ce-time").endswith("Z")
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": message_id,
        "ce-type": "shop.sold",
        "ce-source": "shop",
        "ce-dataschema": "busbridge:contracts/shop.sold/1",
        "ce-partitionkey": "A7",
        "tenant": "nörth",
    }
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert json.loads(body) == BODY


async def test_a_cloudevent_written_by_hand_is_handled_on_both_brokers(config, name, rabbitmq: RabbitMQ, kafka: Kafka):
    """Binary mode with each broker's prefix, and structured mode, as clients of another language write them."""
    attributes = {
        "specversion": "1.0",
        "id": "by-hand",
        "source": "/cobol/ledger",
        "type": "shop.sold",
        "dataschema": "https://schemas.example/shop.sold/1",
    }
    structured = json.dumps(attributes | {"id": "structured", "data": BODY})

    def produce() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
        channel, queue = connection.channel(), config["destinations"]["orders"]["name"]
        binary = {f"ce-{each}": value for each, value in attributes.items()}
        properties = pika.BasicProperties(content_type="application/json", headers=binary)
        channel.basic_publish("", queue, json.dumps(BODY).encode(), properties)
        properties = pika.BasicProperties(content_type="application/cloudevents+json; charset=UTF-8")
        channel.basic_publish("", queue, structured.encode(), properties)
        connection.close()
        producer, stream = kafka.producer(), config["destinations"]["history"]["name"]
        binary = [("content-type", b"application/json")]
        binary += [(f"ce_{each}", value.encode()) for each, value in attributes.items()]
        producer.produce(stream, json.dumps(BODY), headers=binary)
        producer.produce(stream, structured, headers=[("content-type", b"application/cloudevents+json")])
        assert producer.flush(20) == 0

    seen = await handled(config, name, 4, produce)
    assert seen == [
        ("keep", Sold(**BODY), "by-hand", "/cobol/ledger"),
        ("keep", Sold(**BODY), "structured", "/cobol/ledger"),
        ("work", Sold(**BODY), "by-hand", "/cobol/ledger"),
        ("work", Sold(**BODY), "structured", "/cobol/ledger"),
    ]


async def test_plain_json_is_handled_where_the_destination_assumes_its_contract(
    config, name, rabbitmq: RabbitMQ, kafka: Kafka
):
    for destination in ("orders", "history"):
        config["destinations"][destination]["assume"] = "shop.sold@1"

    def produce() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
        connection.channel().basic_publish("", config["destinations"]["orders"]["name"], json.dumps(BODY).encode())
        connection.close()
        producer = kafka.producer()
        producer.produce(config["destinations"]["history"]["name"], json.dumps(BODY), partition=1)
        assert producer.flush(20) == 0

    keep, work = await handled(config, name, 2, produce)
    assert (keep[1], keep[2], keep[3]) == (Sold(**BODY), "1:0", "history")
    assert (work[1], work[3]) == (Sold(**BODY), "orders")
