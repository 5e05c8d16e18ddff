"""What the client says about partitions, with a consumer that agrees to everything."""

from __future__ import annotations

from unittest.mock import Mock

from confluent_kafka import Consumer, TopicPartition

from busbridge.routing import Destination, Kind, SubscriptionPlan
from busbridge_kafka._commits import UNTOUCHED, Commits
from busbridge_kafka._rebalance import Partitions

LOG = Destination("log", Kind.STREAM, "kafka", "shop.log")
PLAN = SubscriptionPlan("shop", "reader", LOG, exactly_once=True)


def partitions_at(consumer, position, **changes):
    """The assignment that a member gets which comes after the one that committed `position`."""
    consumer.committed.side_effect = lambda partitions, **_: [position]
    made = Partitions(
        PLAN,
        Commits(LOG.physical, PLAN.group),
        **{"failed": Mock(side_effect=AssertionError), "stranded": Mock(side_effect=AssertionError), "learn": Mock()}
        | changes,
    )
    made.assigned(consumer, [TopicPartition(LOG.physical, 0)])
    return made.table[0]


def committed(consumer):
    """What was committed last."""
    (position,) = consumer.commit.call_args.kwargs["offsets"]
    return position


def test_all_that_has_begun_behind_an_unfinished_message_is_doubtful_to_who_comes_after_a_crash():
    """T7: of a message far behind it a process may have died, whose count would say nothing of it otherwise."""
    consumer, commits = Mock(spec=Consumer), Commits(LOG.physical, PLAN.group)
    consumer.commit.return_value = []
    first = partitions_at(consumer, TopicPartition(LOG.physical, 0, 100, metadata=UNTOUCHED))
    for offset in range(100, 40_000):
        first.begin(offset)
        if offset % 1000 == 0:
            commits.send(consumer, [first])
            commits.answered(None, [committed(consumer)])
    assert (committed(consumer).offset, first.committed) == (100, 100)
    second = partitions_at(consumer, committed(consumer))
    assert 40_000 <= second.doubtful <= 50_000
    for offset in (100, 101):
        second.begin(offset)
        second.finish(offset)
    commits.send(consumer, [second], now=True)
    third = partitions_at(consumer, committed(consumer))
    assert (committed(consumer).offset, third.doubtful) == (102, second.doubtful)


def test_a_clean_stop_forgets_no_message_that_began_before_a_crash():
    consumer, commits = Mock(spec=Consumer), Commits(LOG.physical, PLAN.group)
    consumer.commit.return_value = []
    second = partitions_at(consumer, TopicPartition(LOG.physical, 0, 100, metadata="begun below 300"))
    second.begin(100)
    second.finish(100)
    commits.last(consumer, [second])
    assert partitions_at(consumer, committed(consumer)).doubtful == second.doubtful
    for offset in range(101, 300):
        second.begin(offset)
        second.finish(offset)
    commits.last(consumer, [second])
    assert partitions_at(consumer, committed(consumer)).doubtful == 300


def test_who_says_nothing_of_it_is_taken_to_have_begun_what_it_could():
    third = partitions_at(Mock(spec=Consumer), TopicPartition(LOG.physical, 0, 100))
    assert 5_000 <= third.doubtful - 100 <= 10_000


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
