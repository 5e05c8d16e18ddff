"""What busbridge costs when nothing happens, and what its own pipeline costs when the broker costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.places import new_name, place_of
from benchmarks.starts import starts

if TYPE_CHECKING:
    from collections.abc import Mapping

_IDLE_FLOOR = """
import asyncio, confluent_kafka, pika, pydantic
from benchmarks.process import resident_megabytes
class Model(pydantic.BaseModel): order_id: str
print(resident_megabytes())
"""
_REPEATS = 3
_PIPELINE_MESSAGES = 20_000


@dataclass(frozen=True)
class Footprint:
    """Milliseconds, megabytes, per cent of one core, microseconds."""

    python_ms: float
    import_ms: float
    model_ms: float
    service_ms: float
    idle_floor_mb: float
    idle_mb: float
    idle_cpu_percent: float
    pipeline_us: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        """Each beside what is wanted, and beside what a process pays that does the same without busbridge."""
        model = "asyncio and a pydantic model"
        floor = f"{model}, both clients imported: {self.idle_floor_mb:.0f}"
        return [
            f"import busbridge: {self.import_ms:.0f} ms (wanted: at most 150; Python alone: {self.python_ms:.0f})",
            f"a contract and a service declared: {self.service_ms:.0f} ms ({model}: {self.model_ms:.0f})",
            f"idle service on both brokers, memory: {self.idle_mb:.0f} MB (wanted: at most 80; {floor})",
            f"idle service on both brokers, CPU: {self.idle_cpu_percent:.2f} % (wanted: near 0)",
            f"own cost of a message, published and handled in memory: {self.pipeline_us:.1f} µs of CPU",
        ]


def footprint(urls: Mapping[str, str]) -> Footprint:
    """Measures each in processes of its own, several times: medians. `urls`: of `rabbitmq` and `kafka`."""
    begun = starts()
    idle = [_idle(urls["rabbitmq"], urls["kafka"]) for _ in range(_REPEATS)]
    return Footprint(
        python_ms=begun["python"],
        import_ms=begun["import"],
        model_ms=begun["model"],
        service_ms=begun["service"],
        idle_floor_mb=median(float(_output("-c", _IDLE_FLOOR)) for _ in range(_REPEATS)),
        idle_mb=median(each["megabytes"] for each in idle),
        idle_cpu_percent=median(each["cpu_percent"] for each in idle),
        pipeline_us=median(_pipeline_microseconds() for _ in range(_REPEATS)),
    )


def _idle(*urls: str) -> dict[str, float]:
    name = new_name()
    try:
        found: dict[str, float] = json.loads(_output("-m", "benchmarks.idle", name, *urls))
        return found
    finally:
        for url in urls:
            place_of(url, name).remove()


def _pipeline_microseconds() -> float:
    job = {"url": "memory://", "place": "bench", "count": _PIPELINE_MESSAGES, "warm_up": _PIPELINE_MESSAGES // 10}
    asked: dict[str, Any] = {**job, "module": "busbridge", "function": "pipeline", "consuming": False}
    result = json.loads(_output("-m", "benchmarks.child", json.dumps(asked)).splitlines()[-1])
    return float(result["cpu_seconds"]) / _PIPELINE_MESSAGES * 1e6


def _output(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
