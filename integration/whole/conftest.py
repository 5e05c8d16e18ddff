"""Whole services on both brokers: a configuration under names of each test's own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from busbridge import Contract

if TYPE_CHECKING:
    from integration.brokers import Kafka, RabbitMQ


class Sold(Contract, name="shop.sold", version=1, key="order_id"):
    order_id: str
    cents: int


@pytest.fixture
def config(rabbitmq: RabbitMQ, kafka: Kafka) -> dict[str, Any]:
    """A queue, a topic and a stream; `sales` subscribes to each."""
    own = f"whole-{uuid.uuid4().hex[:8]}"
    return {
        "transports": {"rabbitmq": {"url": rabbitmq.url}, "kafka": {"url": kafka.url}},
        "destinations": {
            "orders": {"kind": "queue", "transport": "rabbitmq", "name": f"{own}.orders"},
            "events": {"kind": "topic", "transport": "rabbitmq", "name": f"{own}.events"},
            "history": {
                "kind": "stream",
                "transport": "kafka",
                "name": f"{own}.history",
                "partitions": 3,
                "replication": 1,
            },
        },
        "routes": {"shop.sold": {"to": ["orders", "history"]}},
        "services": {
            own: {
                "subscriptions": {
                    "work": {"from": "orders"},
                    "keep": {"from": "history"},
                }
            }
        },
        "stop": {"grace": "5s"},
    }


@pytest.fixture
def name(config: dict[str, Any]) -> str:
    """The name of the service in `config`."""
    return next(iter(config["services"]))
