"""librdkafka's own log, as a part of Python's: `busbridge.kafka.client`."""

from __future__ import annotations

import logging
import time
from typing import Final, final

REPEATED_AFTER: Final = 30.0
"""Seconds before the same line is logged again: a broker that is down is tried ten times a second."""


@final
class ClientLog:
    """What a client logs to. The client calls it from whatever thread polls."""

    def __init__(self) -> None:
        self._log = logging.getLogger("busbridge.kafka.client")
        self._last: dict[str, float] = {}

    def log(self, level: int, text: str, *arguments: object) -> None:
        """One line of the client's; the same one again is dropped for a while."""
        line = text % arguments
        subject = line.partition(" (after")[0]
        now = time.monotonic()
        if now - self._last.get(subject, -REPEATED_AFTER) >= REPEATED_AFTER:
            self._last = {each: at for each, at in self._last.items() if now - at < REPEATED_AFTER} | {subject: now}
            self._log.log(level, "%s", line)
