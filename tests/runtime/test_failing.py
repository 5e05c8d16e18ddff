"""What a handler says by how it fails: try later, never again, not in time, not needed. With a store and without."""

from __future__ import annotations

import asyncio
import functools
import inspect
from datetime import timedelta
from itertools import pairwise

import pytest

from busbridge import AttemptTimedOut, ConfigurationError, Context, HandlerError, Reject, Retry, Service
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import make_tables, stock_service, with_store, write, written

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture(params=["no store", "store"])
def stored(request, config):
    """Everything here holds with a store and without."""
    if request.param == "store":
        with_store(config)


def with_retry(config, **retry):
    config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = retry
    return config


class Gateway(Exception):
    """One of the handler's own."""


class Busy(Gateway):
    """Worth another attempt."""


async def test_an_attempt_that_a_handler_puts_off_comes_after_the_time_it_said_and_counts(config):
    service, reserve = stock_service()
    seen: list[tuple[int, float]] = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        seen.append((context.delivery.attempt, asyncio.get_running_loop().time()))
        context.publish(Reserved(order_id=order.order_id))
        if len(seen) < 3:
            raise Retry("the gateway is busy", after=timedelta(milliseconds=60))

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="7")]
    assert [attempt for attempt, _ in seen] == [1, 2, 3]
    assert min(later - sooner for (_, sooner), (_, later) in pairwise(seen)) >= 0.06


async def test_a_handler_that_always_puts_off_makes_a_dead_letter_after_the_declared_attempts(config):
    """However it asks: nothing is tried for ever."""
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed, fatal=Exception)
    async def handler(order: Placed) -> None:
        seen.append(order)
        raise Retry("the gateway is busy", after=0.01 if len(seen) < 3 else 0)

    async with harness(service, config=with_retry(config, attempts=4), raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(seen) == 4
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}
        assert str(bus.dead[0].error) == "the gateway is busy (after 0 s)"


@pytest.mark.parametrize("after", [-1, float("inf"), float("nan"), timedelta(seconds=-1)])
def test_a_delay_that_is_none_is_refused_where_it_is_raised(after):
    with pytest.raises(ValueError, match="after= must be zero or more seconds"):
        Retry(after=after)


async def test_a_rejected_message_is_a_dead_letter_at_once_in_the_handlers_words(config):
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed, retry_on=Exception)
    async def handler(order: Placed) -> None:
        seen.append(order)
        raise Reject("order 7 was never paid for")

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(seen) == 1
        assert [str(each.error) for each in bus.dead] == ["order 7 was never paid for"]
        assert bus.bus("stock").counts["reserve"].dead == {"rejected": 1}


@pytest.mark.parametrize(
    ("error", "calls", "reason"),
    [(Busy(), 3, "failed"), (Gateway(), 1, "fatal"), (LookupError(), 1, "fatal"), (ConnectionResetError(), 1, "fatal")],
    ids=repr,
)
async def test_only_what_is_declared_worth_it_is_tried_again(config, error, calls, reason):
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed, retry_on=(Busy, OSError), fatal=ConnectionError)
    async def handler(order: Placed) -> None:
        seen.append(order)
        raise error

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(seen) == calls
        assert bus.bus("stock").counts["reserve"].dead == {reason: 1}


async def test_an_attempt_that_takes_too_long_is_cancelled_and_has_failed(config):
    service, reserve = stock_service()
    cancelled = []

    @reserve.handles(Placed, retry_on=Busy)
    async def handler(order: Placed, context: Context) -> None:
        if context.delivery.attempt < 3:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(order.order_id)
                raise

    async with harness(service, config=with_retry(config, limit="30ms")) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert cancelled == ["7", "7"]
        assert bus.bus("stock").counts["reserve"].handled == 1


@pytest.mark.parametrize("fatal", [(), TimeoutError], ids=["tried again", "fatal"])
async def test_a_message_whose_attempts_all_take_too_long_dies_of_that(config, fatal):
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed, fatal=fatal)
    async def handler(order: Placed) -> None:
        seen.append(order)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise LookupError  # cleaning up fails, too

    async with harness(service, config=with_retry(config, limit="30ms"), raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(seen) == (1 if fatal else 3)
        assert bus.bus("stock").counts["reserve"].dead == {"timed_out": 1}
        assert isinstance(bus.dead[0].error, AttemptTimedOut)


async def test_a_handlers_own_timeout_is_not_the_limit(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        raise TimeoutError("the gateway's")

    async with harness(service, config=with_retry(config, limit="5s"), raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}


async def test_a_stop_within_the_limit_is_no_failed_attempt(config):
    service, reserve = stock_service()
    config["stop"] = {"grace": "10ms"}
    began = asyncio.Event()

    @reserve.handles(Placed)
    async def handler(order: Placed) -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    async with harness(service, config=with_retry(config, limit="30s")) as bus:
        await bus.publish(Placed(order_id="7"))
        await asyncio.wait_for(began.wait(), 10)
        counts = bus.bus("stock").counts["reserve"]
    assert (counts.released, counts.dead.total()) == (1, 0)


async def test_a_limit_on_what_no_one_can_cancel_is_refused_at_its_place(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    def handler(order: Placed) -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        async with harness(service, config=with_retry(config, limit="30s")):
            pass
    (fault,) = caught.value.faults
    assert fault.location.path == ("services", "stock", "subscriptions", "reserve", "retry", "limit")
    assert "handler 'handler'" in fault.problem
    assert "which can't be cancelled" in fault.problem


async def test_a_rule_that_holds_ends_a_message_under_its_name_without_its_handler(config):
    service, reserve = stock_service()
    handled = []

    @reserve.handles(Placed, discard={"free": lambda order: order.cents == 0, "test": lambda order: order.cents < 5})
    async def handler(order: Placed) -> None:
        handled.append(order.cents)

    async with harness(service, config=config) as bus:
        await bus.publish_many(Placed(order_id=str(cents), cents=cents) for cents in (0, 1, 2, 9))
        await bus.settled()
        counts = bus.bus("stock").counts["reserve"]
        assert handled == [9]
        assert (counts.handled, counts.discarded) == (1, {"free": 1, "test": 2})


async def test_a_rule_is_asked_again_before_each_attempt(config):
    """What has become stale while it waited needs no further attempt."""
    service, reserve = stock_service()
    seen = []

    @reserve.handles(Placed, discard={"stale": lambda _: len(seen) > 1})
    async def handler(order: Placed) -> None:
        seen.append(order)
        raise Retry(after=0.01)

    async with harness(service, config=with_retry(config, attempts=9)) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(seen) == 2
        assert bus.bus("stock").counts["reserve"].discarded == {"stale": 1}


async def test_what_a_rule_raises_is_an_attempt_that_failed(config):
    service, reserve = stock_service()
    asked = []

    def stale(order: Placed) -> bool:
        asked.append(order)
        raise ZeroDivisionError

    @reserve.handles(Placed, discard={"stale": stale})
    async def handler(order: Placed) -> None: ...

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(asked) == 3
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}


@pytest.mark.parametrize("keyword", ["when", "discard"])
async def test_a_rule_that_returns_an_awaitable_says_nothing_and_is_an_attempt_that_failed(config, keyword):
    service, reserve = stock_service()
    handled, made = [], []

    async def asked(order: Placed) -> bool:
        return False

    def rule(order: Placed) -> bool:
        made.append(asked(order))
        return made[-1]

    @reserve.handles(Placed, **{keyword: rule if keyword == "when" else {"stale": rule}})
    async def handler(order: Placed) -> None:
        handled.append(order)

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert bus.bus("stock").counts["reserve"].dead == {"failed": 1}
        assert "handler 'reserve/handler' returned an awaitable: rules are plain functions" in str(bus.dead[0].error)
    assert handled == []
    assert {inspect.getcoroutinestate(each) for each in made} == {inspect.CORO_CLOSED}


@pytest.mark.parametrize("stored", ["store"], indirect=True)
async def test_what_a_rule_has_discarded_is_known_to_the_store(config):
    service, reserve = stock_service()
    stale = [True]

    @reserve.handles(Placed, discard={"stale": lambda _: stale[0]})
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)

    async with harness(service, config=config) as bus:
        await make_tables(bus.bus("stock"))
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.settled()
        stale.clear()
        stale.append(False)
        await bus.redeliver(message_id)
        await bus.settled()
        assert await written(bus.bus("stock")) == []
        assert bus.bus("stock").counts["reserve"].duplicate == 1


@pytest.mark.parametrize("stored", ["store"], indirect=True)
async def test_what_an_attempt_wrote_that_took_too_long_is_undone_and_others_stay(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        context.publish(Reserved(order_id=order.order_id))
        if order.order_id == "slow":
            await asyncio.get_running_loop().create_future()

    async with harness(service, config=with_retry(config, limit="30ms"), raise_failures=False) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish_many(Placed(order_id=each) for each in ("before", "slow", "after"))
        await bus.settled()
        assert await written(bus.bus("stock")) == ["before", "after"]
        assert [each.order_id for each in bus.published(Reserved)] == ["before", "after"]


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"retry_on": [int]}, "retry_on= of handler .* has <class 'int'>, which is no class of exceptions"),
        ({"retry_on": LookupError, "fatal": Exception}, "retry_on= .* has LookupError, which is fatal"),
        ({"discard": {"": bool}}, "discard= .* has the name ''"),
        ({"discard": {"filtered": bool}}, "discard= .* has a rule 'filtered', a name that busbridge counts by itself"),
        ({"discard": {"stale": True}}, "discard= .*: the rule 'stale' is True, which can't be called"),
        ({"when": True}, "when= of handler .* is True, which can't be called"),
    ],
    ids=str,
)
def test_what_can_not_be_is_refused_where_it_is_declared(declared, words):
    with pytest.raises(HandlerError, match=words):
        Service("stock").subscription("reserve").handles(Placed, **declared)(lambda order: None)


@pytest.mark.parametrize("shape", ["function", "partial", "object"])
@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("when", r"when= of handler '.*<lambda>' \(.*test_failing\.py:\d+\) is `async def`: rules are plain functions"),
        ("discard", r"discard= of .*\.py:\d+\): the rule 'stale' is `async def`: rules are plain functions"),
    ],
)
def test_a_rule_that_would_always_be_true_is_refused_where_it_is_declared(keyword, words, shape):
    async def stale(order: Placed) -> bool:
        return False

    class Stale:
        async def __call__(self, order: Placed) -> bool:
            return False

    rule = {"function": stale, "partial": functools.partial(stale), "object": Stale()}[shape]
    declared = {keyword: rule if keyword == "when" else {"stale": rule}}
    with pytest.raises(HandlerError, match=words):
        Service("stock").subscription("reserve").handles(Placed, **declared)(lambda order: None)
