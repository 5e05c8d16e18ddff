"""One side's part of one round, in a process of its own: `python -m benchmarks.child '{"module": …}'`.

Prints `ready` when its first message is handled, and what it measured as JSON in the last line.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import sys
from importlib import import_module
from typing import Any

from benchmarks.job import Job

_LONGEST = 180
"""Seconds after which a process that hangs shows where, and ends."""


def main() -> None:
    faulthandler.dump_traceback_later(_LONGEST, exit=True)
    asked: dict[str, Any] = json.loads(sys.argv[1])
    function = getattr(import_module(f"benchmarks.sides.{asked.pop('module')}"), asked.pop("function"))
    consuming = asked.pop("consuming")
    job = Job(**asked)
    tally = job.tally()
    asyncio.run(function(job, tally) if consuming else function(job))
    measured = {"seconds": job.meter.seconds, "cpu_seconds": job.meter.cpu_seconds, "latencies": tally.latencies}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
