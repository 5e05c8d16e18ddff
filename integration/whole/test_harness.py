"""The harness of the unit tests, on real brokers: the same flow, the same assertions."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from pika.exceptions import ChannelClosedByBroker

from busbridge import Context, Contract, Service
from busbridge.testing import harness
from integration.whole.conftest import Sold

ROOT = Path(__file__).parents[2]


class Charged(Contract, name="shop.charged", version=1, key="order_id"):
    order_id: str


def service(name: str) -> Service[None]:
    made = Service(name, publishes=[Charged])

    @made.subscription("work").handles(Sold)
    async def charge(order: Sold, context: Context) -> None:
        if order.cents < 0:
            raise ValueError(order.cents)
        context.publish(Charged(order_id=order.order_id))

    made.subscription("keep").handles(Sold)(lambda order: None)

    @made.subscription("watch").handles(Charged)
    async def watch(_: Charged) -> None: ...

    return made


def queues_of(rabbitmq, *names):
    """Those that exist."""
    found = []
    with rabbitmq.connect() as connection:
        for each in names:
            with suppress(ChannelClosedByBroker):
                connection.channel().queue_declare(each, passive=True)
                found.append(each)
    return found


@pytest.fixture
def flow(config, name):
    config["routes"]["shop.charged"] = {"to": "events"}
    config["services"][name]["subscriptions"]["watch"] = {"from": "events"}
    return config


async def test_settled_waits_for_the_whole_flow_over_both_brokers(flow, name):
    async with harness(service(name), config=flow, real_brokers=True) as bus:
        await bus.publish_many(Sold(order_id=str(n), cents=n) for n in range(100))
        await bus.settled(seconds=60)
        assert {each.order_id for each in bus.published(Charged)} == {str(n) for n in range(100)}
        counts = bus.bus(name).counts
        assert [counts[each].handled for each in ("work", "keep", "watch")] == [100, 100, 100]


async def test_failures_are_raised_again(flow, name):
    with pytest.raises(ValueError, match="-5"):
        async with harness(service(name), config=flow, real_brokers=True) as bus:
            await bus.publish(Sold(order_id="bad", cents=-5))
            await bus.settled(seconds=60)


@pytest.mark.parametrize("cents", [5, -5])
async def test_nothing_stays_on_the_brokers_also_after_a_failure(flow, name, rabbitmq, kafka, cents, monkeypatch):
    own = name[-12:]  # part of which is random
    monkeypatch.setattr("busbridge.testing._harness.new_id", lambda: own)
    orders = f"test-{own}.{flow['destinations']['orders']['name']}"
    with pytest.raises(ValueError, match="-5") if cents < 0 else nullcontext():
        async with harness(service(name), config=flow, real_brokers=True) as bus:
            assert orders in queues_of(rabbitmq, orders)
            await bus.publish(Sold(order_id="1", cents=cents))
            await bus.settled(seconds=60)

    admin = kafka.admin()
    groups = [each.group_id for each in admin.list_consumer_groups(request_timeout=10).result(10).valid]
    assert not [each for each in (*admin.list_topics(timeout=10).topics, *groups) if name in each]
    assert queues_of(rabbitmq, orders, f"{orders}.dead", f"test-{own}.{name}.work.dead") == []


async def test_the_option_of_the_plugin_takes_a_users_test_to_the_brokers(pytester: pytest.Pytester, flow, name):
    flow["transports"]["rabbitmq"]["url"] = flow["transports"]["rabbitmq"]["url"].replace("guest:guest", "guest:wrong")
    pytester.makepyfile(
        f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from busbridge.testing import harness
        from integration.whole.test_harness import service

        async def test_flow():
            async with harness(service({name!r}), config={flow!r}):
                pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    real = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--busbridge-real-brokers")
    real.assert_outcomes(failed=1)
    real.stdout.fnmatch_lines(["*AccessRefused*guest*"])
