"""The pages that show brokers show what is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pika
import pytest

from busbridge import Bus, Contract, Service
from busbridge.routing import load, namespaced

ROOT = Path(__file__).parent.parent
DESTINATIONS = {
    "events": {"kind": "topic", "transport": "rabbitmq", "unrouted": "ignore"},
    "log": {"kind": "stream", "transport": "kafka", "partitions": 1},
}


class OrderCreated(Contract, name="shop.order-created", version=2, readable_by=1, key="order_id"):
    order_id: str
    total_cents: int


CHECKOUT = Service("checkout", publishes=[OrderCreated])


@pytest.fixture
def brokers(rabbitmq, kafka):
    return {"RABBITMQ_URL": rabbitmq.url, "KAFKA_URL": kafka.url}


def test_the_tutorial_ends_on_real_brokers_as_it_says(brokers):
    command = [sys.executable, "scripts/lib/examples.py", "--brokers", "docs/tutorial.md"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **brokers}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_a_message_looks_on_both_brokers_as_the_page_shows_it(rabbitmq, kafka):
    transports = {"rabbitmq": {"url": rabbitmq.url}, "kafka": {"url": kafka.url}}
    routes = {"shop.order-created": {"to": ["events", "log"]}}
    config = namespaced(load({"transports": transports, "destinations": DESTINATIONS, "routes": routes}), "docs.")
    with rabbitmq.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("docs.events", "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "docs.events", "shop.order-created")
        async with Bus(CHECKOUT, config) as bus:
            await bus.publish(OrderCreated(order_id="1", total_cents=100), headers={"tenant": "north"})
        _, properties, body = channel.basic_get(queue, auto_ack=True)
        channel.exchange_delete("docs.events")
    assert _plain(_as_shown(properties, body)) == _plain(_shown("content_type"))
    printed = kafka.tool(
        *("console-consumer", "--topic", "docs.log", "--from-beginning", "--max-messages", "1"),
        *("--property", "print.headers=true", "--property", "print.key=true"),
    )
    assert _plain(_shown("content-type:")) in _plain(printed)


def _shown(beginning: str) -> str:
    """The block of the page that begins like this."""
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if block.startswith(beginning))


def _as_shown(properties: pika.BasicProperties, body: bytes) -> str:
    """A message as the page writes it."""
    order = ("specversion", "type", "source", "dataschema", "readableby", "id", "time", "partitionkey")
    names = [*(f"ce-{each}" for each in order), "tenant"]
    assert sorted(names) == sorted(properties.headers)
    headers = "\n".join(f"{name}: {properties.headers[name]}" for name in names)
    return (
        f"content_type {properties.content_type}\ndelivery_mode {properties.delivery_mode}\n"
        f"headers {headers}\nbody {body.decode()}"
    )


def _plain(text: str) -> str:
    """Without what differs from message to message: id, time and the width of gaps."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    return " ".join(text.split())
