"""The process that redrives, and is killed: `python -m integration.effects.operator '{"config": …}'`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from typing import Any

from busbridge.routing import load
from busbridge.runtime import InstalledTransports, dead_letters_of
from integration.effects.child import die_at

RATE = 40
"""Dead letters a second: ten go together."""


@dataclass(frozen=True)
class Redrive:
    service: str
    config: dict[str, Any]
    killed_at: int = 0


async def redrive(job: Redrive) -> None:
    async with dead_letters_of(job.service, load(job.config), InstalledTransports()) as letters:
        await letters.redrive(rate=RATE, who="the operator of the test")


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    job = Redrive(**json.loads(sys.argv[1]))
    if job.killed_at:
        die_at("redrive_published", job.killed_at)
    asyncio.run(redrive(job))


if __name__ == "__main__":
    main()
