"""An open service that waits for messages on both brokers: `python -m benchmarks.idle NAME RABBITMQ_URL KAFKA_URL`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from benchmarks.orders import TYPE, OrderPlaced
from benchmarks.process import cpu_seconds, resident_megabytes
from busbridge import Bus, Service

_SETTLE_SECONDS = 5.0
_WATCH_SECONDS = 5.0


def _configuration(name: str, rabbitmq_url: str, kafka_url: str) -> dict[str, Any]:
    return {
        "transports": {"rabbitmq": {"url": rabbitmq_url}, "kafka": {"url": kafka_url}},
        "destinations": {
            "queue": {"kind": "queue", "transport": "rabbitmq", "name": name},
            "stream": {"kind": "stream", "transport": "kafka", "name": name},
        },
        "routes": {TYPE: {"to": ["queue", "stream"]}},
        "services": {name: {"subscriptions": {"orders": {"from": "queue"}, "history": {"from": "stream"}}}},
    }


async def _handle(_: OrderPlaced) -> None: ...


async def _watch(name: str, urls: list[str]) -> dict[str, float]:
    service = Service(name, publishes=[OrderPlaced])
    for subscription in ("orders", "history"):
        service.subscription(subscription).handles(OrderPlaced)(_handle)
    async with Bus(service, _configuration(name, *urls)):
        await asyncio.sleep(_SETTLE_SECONDS)  # connected, joined, at rest
        before = cpu_seconds()
        await asyncio.sleep(_WATCH_SECONDS)
        return {"cpu_percent": (cpu_seconds() - before) / _WATCH_SECONDS * 100, "megabytes": resident_megabytes()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_watch(sys.argv[1], sys.argv[2:]))))
