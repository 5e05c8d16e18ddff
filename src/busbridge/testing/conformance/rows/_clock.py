"""A row about the wall clock, which says what time it is and never how long something took."""

from __future__ import annotations

import time
from itertools import cycle
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from busbridge.testing.conformance._message import message_id_of
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench
    from busbridge.testing.conformance._worker import Worker
    from busbridge.transport import Delivery

_HOUR: Final = 3600.0
_COUNT: Final = 60
_ATTEMPTS: Final = 3


async def clock_jump_is_inert(bench: Bench) -> None:
    """C33: each look at the wall clock finds it an hour ahead, or behind, of where it was."""
    true, jumps = time.time, cycle((_HOUR, -_HOUR, 0.0))
    with patch("time.time", lambda: true() + next(jumps)):
        await _work(bench)


async def _work(bench: Bench) -> None:
    subscription = bench.subscription()

    def treat(worker: Worker, delivery: Delivery) -> None:
        tried_again = message_id_of(delivery).endswith("7") and delivery.attempt < _ATTEMPTS
        (worker.retry if tried_again else worker.accept)(delivery)

    await subscription.worker(treat)
    await bench.publish(await bench.client(), _COUNT)
    await subscription.judge()


ROWS: Final = (
    Row(
        "C33",
        "clock_jump_is_inert",
        "a wall clock that jumps makes nothing end early, wait longer or come twice",
        tuple(Place),
        clock_jump_is_inert,
    ),
)
