"""An attempt that is cut off in the middle of a statement counts, whatever becomes of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from busbridge import Context, Service
from integration.effects.contracts import Ordered
from integration.effects.test_refusals import EFFECT, opened, until

if TYPE_CHECKING:
    from integration.brokers import PostgreSQL


@pytest.mark.parametrize("attempts", [1, 3])
async def test_an_attempt_that_hangs_in_the_database_has_failed_and_leaves_nothing(
    postgresql: PostgreSQL, attempts: int
) -> None:
    worker: Service[None] = Service("worker")
    calls = []

    @worker.subscription("work").handles(Ordered)
    async def work(order: Ordered, context: Context) -> None:
        await context.connection.execute(EFFECT, {"order_id": order.order_id})
        if order.order_id == "hangs":
            calls.append(context.delivery.attempt)
            await context.connection.execute(text("SELECT pg_sleep(30)"))

    retry = {"attempts": attempts, "limit": "300ms"}
    async with opened(postgresql, worker, retry=retry) as (database, out, bus):
        await out.publish_many(Ordered(order_id=each) for each in ("before", "hangs", "after"))
        counts = bus.counts["work"]
        await until(lambda: (counts.handled, counts.dead) == (2, {"timed_out": 1}))
        assert calls == list(range(1, attempts + 1))
        assert sorted(await database.column("SELECT order_id FROM effects")) == ["after", "before"]
