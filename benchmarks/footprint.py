"""What busbridge costs when nothing happens, and what its own pipeline costs when the broker costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.places import new_name, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMPORT = "import time; begun = time.perf_counter(); import busbridge; print(time.perf_counter() - begun)"
_REPEATS = 7
_PIPELINE_MESSAGES = 20_000


@dataclass(frozen=True)
class Footprint:
    """Milliseconds, megabytes, per cent of one core, microseconds."""

    import_ms: float
    idle_mb: float
    idle_cpu_percent: float
    pipeline_us: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        return [
            f"import busbridge: {self.import_ms:.0f} ms (wanted: at most 150)",
            f"idle service on both brokers, memory: {self.idle_mb:.0f} MB (wanted: at most 80)",
            f"idle service on both brokers, CPU: {self.idle_cpu_percent:.2f} % (wanted: near 0)",
            f"own cost of a message, published and handled in memory: {self.pipeline_us:.1f} µs of CPU",
        ]


def footprint(urls: Mapping[str, str]) -> Footprint:
    """Measures each in processes of its own. `urls`: of `rabbitmq` and `kafka`."""
    idle = _idle(urls["rabbitmq"], urls["kafka"])
    return Footprint(
        import_ms=_import_milliseconds(),
        idle_mb=idle["megabytes"],
        idle_cpu_percent=idle["cpu_percent"],
        pipeline_us=median(_pipeline_microseconds() for _ in range(3)),
    )


def _idle(*urls: str) -> dict[str, float]:
    name = new_name()
    try:
        found: dict[str, float] = json.loads(_output("-m", "benchmarks.idle", name, *urls))
        return found
    finally:
        for url in urls:
            place_of(url, name).remove()


def _import_milliseconds() -> float:
    _output("-c", _IMPORT)  # the bytecode is compiled
    return median(float(_output("-c", _IMPORT)) for _ in range(_REPEATS)) * 1e3


def _pipeline_microseconds() -> float:
    job = {"url": "memory://", "place": "bench", "count": _PIPELINE_MESSAGES, "warm_up": _PIPELINE_MESSAGES // 10}
    asked: dict[str, Any] = {**job, "module": "busbridge", "function": "pipeline", "consuming": False}
    result = json.loads(_output("-m", "benchmarks.child", json.dumps(asked)).splitlines()[-1])
    return float(result["cpu_seconds"]) / _PIPELINE_MESSAGES * 1e6


def _output(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout
