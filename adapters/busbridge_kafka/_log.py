"""librdkafka's log and errors as a part of Python's logging, without their repeats."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Hashable

REPEATED_AFTER: Final = 30.0
"""Seconds before the same is said again: a broker that is down is tried ten times a second."""

_FAILED: Final = "FAIL "
"""How the client's lines about a connection that failed begin."""
_DOWN: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE})  # noqa: SLF001


@final
class ClientLog:
    """What one client says. It is called from whatever thread polls."""

    def __init__(self) -> None:
        self._client = logging.getLogger("busbridge.kafka.client")
        self._own = logging.getLogger("busbridge.kafka")
        self._said: dict[Hashable, float] = {}

    def log(self, level: int, text: str, *arguments: object) -> None:
        """One line of the client's own log; the client expects a method of this name.

        A connection that failed is told at INFO at most: the client reports it to us too, and our own line tells it.
        """
        line = text % arguments
        if self._is_news(line.partition(" (after")[0]):
            self._client.log(min(level, logging.INFO) if line.startswith(_FAILED) else level, "%s", line)

    def error(self, who: str, error: KafkaError) -> None:
        """An error that the client reports and deals with by itself."""
        if self._is_news("down" if error.code() in _DOWN else error.str()):
            self._own.warning("%s: %s", who, error.str())

    def _is_news(self, subject: Hashable) -> bool:
        now = time.monotonic()
        if now - self._said.get(subject, -REPEATED_AFTER) < REPEATED_AFTER:
            return False
        self._said = {each: at for each, at in self._said.items() if now - at < REPEATED_AFTER} | {subject: now}
        return True
