"""Notices a client that knows no broker any more and looks for none.

librdkafka forgets brokers that the cluster no longer names. One that has just come back can name none at all, itself
included; the client should then start anew from `bootstrap.servers`, and now and then does not: by a race, as its
issues 5301 and 5605 tell it; seen in 2.16.0 after restarts of a busy broker. Such a client reports nothing, sends
nothing and may be slow to close. Its own statistics show it, and a new client is the cure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL: Final = 2.0
"""Seconds between two statistics of a client."""
PATIENCE: Final = 2
"""Statistics without a broker, one after the other, that make a client stranded: looking for one takes a moment."""

_BROKERS: Final = frozenset({"configured", "learned"})
"""Where brokers come from. All others are the client's own threads and roles."""


@final
class Watch:
    """The statistics callback of one client; `stranded` is called where that client is lost for good."""

    def __init__(self, stranded: Callable[[], None]) -> None:
        self._stranded = stranded
        self._without = 0

    def __call__(self, statistics: str) -> None:
        brokers = json.loads(statistics)["brokers"].values()
        known = any(each["source"] in _BROKERS for each in brokers)
        self._without = 0 if known else self._without + 1
        if self._without == PATIENCE:
            self._stranded()
