"""What handlers do wrong, or too late."""

from __future__ import annotations

import asyncio

import pytest

from busbridge import ClosedError, Context, Service
from busbridge.testing import harness
from tests.attack.helpers import ENVELOPE, at_work
from tests.runtime.conftest import Placed, Reserved


async def test_publishing_after_the_handler_returned_is_an_error_not_a_message_that_never_goes_out(config):
    service, late = Service("stock", publishes=[Reserved]), []

    @service.subscription("reserve").handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        late.append(context)

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        with pytest.raises(ClosedError, match=r"reserve/handler.*returned"):
            late[0].publish(Reserved(order_id="7"))
        assert late[0].message_id


async def test_no_attempt_begins_once_the_session_takes_no_more(config):
    """A partition that is being revoked: another member handles the message, so that this one must not begin again."""
    service, runs = Service("stock"), []

    @service.subscription("reserve").handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        runs.append(order)
        context._delivery.session.taking = False
        raise RuntimeError("not now")

    async with at_work(service, config) as bench:
        delivering = asyncio.ensure_future(bench.deliver([*ENVELOPE.items()]))
        await bench.ended()
        delivering.cancel()
    assert len(runs) == 1
    assert (bench.counts.repeated, bench.counts.dead.total()) == (0, 0)
