"""A row about order while a message is tried again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from busbridge.testing.conformance._flow import KEYS, Flow, Told
from busbridge.testing.conformance._rig import Place
from busbridge.testing.conformance._row import Row, RowFailed

if TYPE_CHECKING:
    from busbridge.testing.conformance._bench import Bench

_FAILING_KEYS: Final = 4
"""So many of the keys have a message that fails; there are more keys than lanes, shards or partitions."""
_PER_KEY: Final = 6
_FAILING: Final = frozenset(f"t{2 * KEYS + key}" for key in range(_FAILING_KEYS))
"""The third message of each of them."""
_RETRY: Final = {"attempts": 400, "immediate": 1, "first": "50ms", "backoff": "fixed"}


async def retry_keeps_declared_order(bench: Bench) -> None:
    """C18: what fails does so until every other key has come to its end, though they share lanes with it."""
    left = {f"t{number}" for number in range(_PER_KEY * KEYS) if number % KEYS >= _FAILING_KEYS}

    async def handle(message: Told, attempt: int) -> None:  # noqa: ARG001 - a handler
        await asyncio.sleep(0)
        if message.id in _FAILING and left:
            raise ValueError(message.id)
        left.discard(message.id)

    flow = Flow(bench, handle, retry=_RETRY)
    async with flow.bus() as bus:
        await bus.publish_many(flow.messages(_PER_KEY * KEYS))
        await flow.until(lambda: not left, "what comes behind no failing message of its own key")
        await flow.until(lambda: len(flow.attempts(done=True)) == _PER_KEY * KEYS, "a success for every message")
    _check_order(flow)


def _check_order(flow: Flow) -> None:
    """Within a key, a message begins when the one before it has ended."""
    open_: dict[int, str] = {}
    last: dict[int, int] = defaultdict(lambda: -1)
    for call in flow.calls:
        number = int(call.id[1:])
        key = number % KEYS
        if number < last[key] or open_.get(key, call.id) != call.id:
            raise RowFailed(f"{call.id} was handled before {open_.get(key)} of its key had ended")
        last[key] = number
        open_[key] = call.id
        if call.done:
            del open_[key]


ROWS: Final = (
    Row(
        "C18",
        "retry_keeps_declared_order",
        "a message that is tried again holds the later ones of its key, and no other key",
        (Place.ORDERED_QUEUE, Place.STREAM),
        retry_keeps_declared_order,
    ),
)
