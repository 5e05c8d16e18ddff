"""Any number of messages on their way: in batches, a few of them at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from busbridge.runtime.publishing._sender import BATCH, FLIGHTS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from busbridge.runtime.publishing._outcomes import Undelivered
    from busbridge.runtime.publishing._prepared import Prepared
    from busbridge.runtime.publishing._publishing import Publishing


async def in_batches(
    publishing: Publishing, prepared: Iterable[Prepared]
) -> AsyncGenerator[tuple[list[Prepared], list[Undelivered]]]:
    """Batches and what was not confirmed of them, in order, a few ahead of the one that is waited for."""
    flights: deque[tuple[list[Prepared], asyncio.Task[list[Undelivered]]]] = deque()
    remaining = iter(prepared)
    try:
        while batch := list(islice(remaining, BATCH)):
            flights.append((batch, asyncio.create_task(publishing.send(batch))))
            if len(flights) >= FLIGHTS:
                first, flight = flights.popleft()
                yield first, await flight
            else:
                await asyncio.sleep(0)  # lets the batch depart while the next one is encoded
        while flights:
            first, flight = flights.popleft()
            yield first, await flight
    finally:
        for _, flight in flights:  # of a publish that was cut short: the messages are on their way, nobody waits
            flight.cancel()
        await asyncio.gather(*(flight for _, flight in flights), return_exceptions=True)
