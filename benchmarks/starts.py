"""How long a process takes from its start to its end when it only imports and declares: busbridge beside its floors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUNDS = 9
_MODEL = """
import asyncio
from pydantic import BaseModel

class OrderPlaced(BaseModel):
    order_id: str
    cents: int
"""
_SERVICE = """
from busbridge import Bus, Contract, Service

class OrderPlaced(Contract, name="bench.order-placed", version=1):
    order_id: str
    cents: int

service = Service("bench", publishes=[OrderPlaced])
"""
_PROGRAMS = {"python": "", "import": "import busbridge", "model": _MODEL, "service": _SERVICE}


def starts() -> dict[str, float]:
    """The median milliseconds of each program. They take turns; their bytecode is there, as it is where installed."""
    with TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _round(environment)  # writes the bytecode
        rounds = [_round(environment) for _ in range(_ROUNDS)]
    return {name: median(each[name] for each in rounds) for name in _PROGRAMS}


def _round(environment: Mapping[str, str]) -> dict[str, float]:
    return {name: _milliseconds(program, environment) for name, program in _PROGRAMS.items()}


def _milliseconds(program: str, environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    return (time.perf_counter() - begun) * 1e3
