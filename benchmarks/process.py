"""What a process has used so far, with all its threads."""

from __future__ import annotations

import resource
from pathlib import Path


def cpu_seconds() -> float:
    """User and system time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_megabytes() -> float:
    """What is in memory now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
