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


def stop_iteration(_: Placed) -> None:
    next(iter(()))


def exception_group(_: Placed) -> None:
    raise ExceptionGroup("two", [ValueError(), LookupError()])


def group_with_a_cancellation(_: Placed) -> None:
    """What `gather(..., return_exceptions=True)` has found, raised together."""
    raise BaseExceptionGroup("two", [ValueError(), BaseExceptionGroup("in it", [asyncio.CancelledError()])])


def cancellation(_: Placed) -> None:
    raise asyncio.CancelledError


def as_coroutine(function):
    async def handler(order: Placed) -> None:
        function(order)

    return handler


@pytest.mark.parametrize("stored", [False, True], ids=["no store", "store"])
@pytest.mark.parametrize("shape", [lambda function: function, as_coroutine], ids=["plain", "async"])
@pytest.mark.parametrize(
    "raises", [stop_iteration, exception_group, group_with_a_cancellation, cancellation], ids=lambda each: each.__name__
)
async def test_whatever_a_handler_raises_is_an_attempt_that_failed(config, tmp_path, raises, shape, stored):
    """And the lane goes on: there is only one."""
    subscription = config["services"]["stock"]["subscriptions"]["reserve"]
    subscription |= {"concurrency": 1, "retry": {"immediate": 2, "attempts": 2}}
    if stored:
        config["services"]["stock"]["store"] = {"url": f"sqlite:///{tmp_path}/stock.db", "upgrade": "true"}
    service = Service("stock")
    service.subscription("reserve").handles(Placed)(shape(raises))
    async with asyncio.timeout(20), at_work(service, config) as bench:
        await bench.deliver([*ENVELOPE.items()])
        await bench.deliver([*(ENVELOPE | {"ce-id": "2"}).items()])
    assert (bench.counts.dead.total(), bench.counts.repeated) == (2, 2)


async def test_what_is_no_failure_of_an_attempt_stops_the_subscription_and_is_raised_by_it(config, caplog):
    class Enough(BaseException):
        pass

    service = Service("stock")

    @service.subscription("reserve").handles(Placed)
    async def handler(_: Placed) -> None:
        raise Enough

    async with asyncio.timeout(20), at_work(service, config) as bench:
        delivering = asyncio.ensure_future(bench.deliver([*ENVELOPE.items()]))
        with pytest.raises(Enough):
            await bench.bus.serve()
        delivering.cancel()
    assert "stock.reserve has stopped: Enough()" in caplog.text
    assert bench.counts.released == 1
