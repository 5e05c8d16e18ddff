"""An open service that waits for messages on both brokers: `python -m benchmarks.idle NAME RABBITMQ_URL KAFKA_URL`."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.orders import TYPE, OrderPlaced
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
        before = _cpu_seconds()
        await asyncio.sleep(_WATCH_SECONDS)
        return {"cpu_percent": (_cpu_seconds() - before) / _WATCH_SECONDS * 100, "megabytes": _resident_megabytes()}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_watch(sys.argv[1], sys.argv[2:]))))
