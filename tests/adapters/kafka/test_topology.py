"""What Kafka topics a topology means, and how one that exists differs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from busbridge.routing import Destination, Kind, RetryPlan, SubscriptionPlan
from busbridge_kafka import _topology as topology
from busbridge_kafka._admin import Shape


def stream(**options):
    return Destination("log", Kind.STREAM, "kafka", "shop.log", **options)


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({}, {"cleanup.policy": "delete"}),
        ({"retention": timedelta(days=30)}, {"cleanup.policy": "delete", "retention.ms": "2592000000"}),
        ({"compaction": True}, {"cleanup.policy": "compact"}),
        (
            {"compaction": True, "retention": timedelta(seconds=1)},
            {"cleanup.policy": "compact,delete", "retention.ms": "1000"},
        ),
    ],
)
def test_what_is_kept_becomes_the_settings_of_the_kafka_topic(options, config):
    assert topology.wanted_stream(stream(**options)).config == config


def test_partitions_have_a_default_and_replication_is_the_brokers_choice():
    wanted = topology.wanted_stream(stream())
    assert wanted.partitions == topology.PARTITIONS
    assert wanted.replication is None


def test_dead_letters_have_the_partitions_of_their_source_and_are_kept():
    plan = SubscriptionPlan("shop", "stock", stream(partitions=3))
    wanted = topology.wanted_dead_letters(plan, {"shop.log": 5})
    assert wanted.name == "shop.stock.dead"
    assert wanted.partitions == 5
    assert wanted.config == {"retention.ms": "-1"}


def test_every_difference_is_named():
    wanted = topology.wanted_stream(stream(partitions=3, replication=2, retention=timedelta(seconds=1)))
    found = topology.differences(wanted, Shape(4, 1), {"cleanup.policy": "compact", "retention.ms": "5"})
    assert found == [
        "partitions is 4, declared 3",
        "replication is 1, declared 2",
        "cleanup.policy is compact, declared delete",
        "retention.ms is 5, declared 1000",
    ]


def test_what_is_not_declared_may_be_anything():
    wanted = topology.wanted_stream(stream(partitions=3))
    assert topology.differences(wanted, Shape(3, 9), {"cleanup.policy": "delete", "retention.ms": "5"}) == []


def test_the_order_of_policies_is_no_difference():
    wanted = topology.wanted_stream(stream(partitions=3, compaction=True, retention=timedelta(seconds=1)))
    assert topology.differences(wanted, Shape(3, 1), {"cleanup.policy": "delete,compact", "retention.ms": "1000"}) == []


def test_attempts_wait_in_a_kafka_topic_for_each_tier_and_are_kept_for_long_after_they_are_due():
    retry = RetryPlan(attempts=3, immediate=1, tiers=(1.5, 60))
    plan = SubscriptionPlan("shop", "stock", stream(partitions=3), retry=retry)
    wanted = topology.wanted_waiting(plan, {"shop.log": 5})
    assert [each.name for each in wanted] == ["shop.stock.retry.1500ms", "shop.stock.retry.60s"]
    assert [each.partitions for each in wanted] == [5, 5]
    month = topology.OVERDUE_SECONDS * 1000
    assert [each.config["retention.ms"] for each in wanted] == [str(month + 1500), str(month + 60_000)]
