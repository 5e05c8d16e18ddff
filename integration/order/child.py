"""A service whose handler fails as its messages say, and writes down when it begins and ends: a process to be killed.

`python -m integration.order.child '{"config": …}'` serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from busbridge import Context, Contract, Retry, Service
from busbridge.outbox import TimerSource
from busbridge.runtime import serve

EFFECT = text("INSERT INTO steps (at, step) VALUES (:at, :step)")


class Step(Contract, name="order.step", version=1, key="line"):
    """One of a line that is to be gone through in order."""

    line: str
    number: int
    failures: int = 0
    """Attempts that fail."""
    seconds: float = 0
    """Until the attempt after one that failed."""


@dataclass(frozen=True)
class Job:
    service: str
    config: dict[str, Any]
    steps: str
    """A file that gets a line when a handler begins and when it ends."""
    stored: bool = False
    """Whether it has a store, and in its database a table `steps`."""


def worker(job: Job) -> Service[None]:
    service = Service(job.service)
    steps = Path(job.steps).open("a", buffering=1, encoding="ascii")  # noqa: SIM115 - until the process ends

    @service.subscription("work").handles(Step)
    async def work(step: Step, context: Context) -> None:
        attempt = context.delivery.attempt
        steps.write(f"begin {step.line} {step.number} {attempt}\n")
        await asyncio.sleep(0)
        if attempt <= step.failures:
            raise Retry(after=step.seconds)
        if job.stored:
            await context.connection.execute(EFFECT, {"at": time.monotonic_ns(), "step": f"{step.line}{step.number}"})
        steps.write(f"end {step.line} {step.number} {attempt}\n")

    return service


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    TimerSource.__init__.__kwdefaults__["claim"] = 2.0  # ordinarily a minute until another process goes on
    job = Job(**json.loads(sys.argv[1]))
    asyncio.run(serve([worker(job)], job.config))


if __name__ == "__main__":
    main()
