"""What the client says about partitions, with a consumer that agrees to everything."""

from __future__ import annotations

from unittest.mock import Mock

from confluent_kafka import Consumer, TopicPartition

from busbridge.routing import Destination, Kind, SubscriptionPlan
from busbridge_kafka._commits import Commits
from busbridge_kafka._rebalance import Partitions

LOG = Destination("log", Kind.STREAM, "kafka", "shop.log")
PLAN = SubscriptionPlan("shop", "reader", LOG, exactly_once=True)


def test_the_membership_is_known_before_there_is_anything_to_be_committed():
    """Otherwise the first transaction of a member is aborted now and then."""
    held_when_asked = []
    consumer = Mock(spec=Consumer)
    consumer.committed.side_effect = lambda partitions, **_: [TopicPartition(LOG.physical, 0, 7)]
    partitions = Partitions(
        PLAN,
        Commits(LOG.physical, PLAN.group),
        failed=Mock(side_effect=AssertionError),
        stranded=Mock(side_effect=AssertionError),
        learn=lambda _: held_when_asked.append(dict(partitions.table)),
    )
    partitions.assigned(consumer, [TopicPartition(LOG.physical, 0)])
    assert held_when_asked == [{}]
    assert partitions.table.keys() == {0}
