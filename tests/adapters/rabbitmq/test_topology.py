"""What is declared for a topology: nothing in it can lose a message."""

from __future__ import annotations

from datetime import timedelta

from busbridge.routing import Binding, Destination, Kind, SubscriptionPlan, Topology
from busbridge_rabbitmq import _topology
from busbridge_rabbitmq._topology import Bind, Exchange, Queue, Sharded

ORDERS = Destination("orders", Kind.QUEUE, "rabbitmq", "shop.orders")
NEWS = Destination("news", Kind.TOPIC, "rabbitmq", "shop.news")


def declared(*destinations, subscriptions=()):
    return list(_topology.declarations(Topology(destinations, tuple(subscriptions))))


def queues(*destinations, subscriptions=()):
    found = declared(*destinations, subscriptions=subscriptions)
    return {each.name: each for each in found if isinstance(each, Queue)}


def test_a_queue_is_a_quorum_queue_that_loses_nothing():
    arguments = queues(ORDERS)["shop.orders"].arguments
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-dead-letter-routing-key"] == "shop.orders.dead"
    assert arguments["x-delivery-limit"] > 100_000, "-1 destroys messages on 3.10, the default drops the 21st delivery"


def test_the_dead_letter_queue_is_declared_before_the_queue_that_names_it():
    names = [each.name for each in declared(ORDERS)]
    assert names == ["shop.orders.dead", "shop.orders"]


def test_a_dead_letter_queue_has_no_limit():
    arguments = queues(ORDERS)["shop.orders.dead"].arguments
    assert not {"x-message-ttl", "x-max-length", "x-expires"} & set(arguments)


def test_length_and_ttl_are_the_destinations():
    bounded = Destination("b", Kind.QUEUE, "rabbitmq", "b", max_length=10, ttl=timedelta(seconds=1.5))
    arguments = queues(bounded)["b"].arguments
    assert (arguments["x-max-length"], arguments["x-message-ttl"]) == (10, 1500)


def test_what_may_not_be_provisioned_is_only_verified():
    theirs = Destination("theirs", Kind.QUEUE, "rabbitmq", "theirs", provision=False)
    assert declared(theirs) == [Queue("theirs", create=False)]


def test_each_subscription_of_a_topic_has_a_queue_bound_by_its_patterns():
    plan = SubscriptionPlan("billing", "charge", NEWS, (Binding("shop.*"), Binding("other.#")))
    found = declared(NEWS, subscriptions=[plan])
    assert found[0] == Exchange("shop.news")
    assert [each for each in found if isinstance(each, Bind)] == [
        Bind("shop.news", "billing.charge", "shop.*"),
        Bind("shop.news", "billing.charge", "other.#"),
    ]


def test_headers_are_matched_by_a_headers_exchange_behind_the_topic():
    plan = SubscriptionPlan("billing", "eu", NEWS, (Binding(headers={"region": "eu"}, match_all=False),))
    found = declared(NEWS, subscriptions=[plan])
    assert Exchange("shop.news.headers", "headers") in found
    assert Bind("shop.news", "shop.news.headers", "#", to_exchange=True) in found
    assert Bind("shop.news.headers", "billing.eu", arguments={"region": "eu", "x-match": "any"}) in found


def test_a_subscription_that_keeps_nothing_is_not_declared_for_others_to_fill():
    plan = SubscriptionPlan("watch", "live", NEWS, (Binding("#"),), durable=False)
    assert declared(NEWS, subscriptions=[plan]) == [Exchange("shop.news")]
    own = {each.name: each for each in _topology.for_subscription(plan) if isinstance(each, Queue)}["watch.live"]
    assert own.auto_delete
    assert own.arguments["x-queue-type"] == "classic"


def test_an_ordered_queue_is_as_many_shards_with_one_active_consumer_each():
    ordered = Destination("o", Kind.QUEUE, "rabbitmq", "o", ordered=True, partitions=3)
    (sharded,) = [each for each in declared(ordered) if isinstance(each, Sharded)]
    assert [each.name for each in sharded.queues] == ["o.0", "o.1", "o.2"]
    assert all(each.arguments["x-single-active-consumer"] for each in sharded.queues)
    assert (sharded.last, sharded.beyond) == ("o.2", "o.3")
