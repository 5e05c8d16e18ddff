"""One line per step, on standard error, so that standard output stays for values."""

from __future__ import annotations

import sys


def say(step: str) -> None:
    """Prints one progress line."""
    print(f"brokers: {step}", file=sys.stderr, flush=True)
