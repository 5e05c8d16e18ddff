"""Contracts and a configuration that the tests of the runtime share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from busbridge import Contract
from busbridge.store import Store


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str
    cents: int = 0


class Reserved(Contract, name="shop.reserved", version=1, key="order_id"):
    order_id: str


@pytest.fixture
def config() -> dict[str, Any]:
    """A queue and a topic that stand for RabbitMQ, and a stream that stands for Kafka."""
    return {
        "transports": {"rabbit": {"url": "amqp://localhost"}, "log": {"url": "kafka://localhost:9092"}},
        "destinations": {
            "orders": {"kind": "queue", "transport": "rabbit"},
            "events": {"kind": "topic", "transport": "rabbit", "unrouted": "ignore"},
            "history": {"kind": "stream", "transport": "log", "partitions": 4},
        },
        "routes": {"shop.placed": {"to": "orders"}, "shop.reserved": {"to": ["events", "history"]}},
        "services": {"stock": {"subscriptions": {"reserve": {"from": "orders"}}}},
        "stop": {"grace": "5s"},
    }


@pytest.fixture
def store(tmp_path):
    """One on SQLite, to be opened by the test."""
    store = Store(f"sqlite:///{tmp_path}/shop.db", "shop")
    yield store
    asyncio.run(store.close())
