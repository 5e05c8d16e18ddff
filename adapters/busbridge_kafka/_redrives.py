"""The names and the Kafka topics of what was redriven, and of which dead letters are settled.

A redriven message must reach one subscription. Sent to its Kafka topic again it would reach every group that reads
there, those of other teams included. So each subscription has a Kafka topic of its own for it, with the partitions of
its source (T21), read by a consumer group of its own. It exists from the first redrive on.

A Kafka topic gives no single record up. Which dead letters are settled - sent again, or discarded - stands in a second,
compacted one, by partition and offset.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busbridge.routing import Destination, Kind, StartAt
from busbridge_kafka._topology import FOREVER, Wanted

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Position

_COMPACTED: Final = {"cleanup.policy": "compact"}


def plan_of(plan: SubscriptionPlan) -> SubscriptionPlan:
    """The subscription of what was redriven to `plan`: everything from the beginning."""
    group = f"{plan.group}.redrive"
    place = replace(plan.destination, name=group, physical=group)
    return replace(plan, name=f"{plan.name}.redrive", destination=place, start=StartAt("earliest"))


def dead_of(plan: SubscriptionPlan) -> Destination:
    """Where the dead letters of a subscription are."""
    return _stream(plan.dead_letters, plan)


def settled_of(plan: SubscriptionPlan) -> str:
    """The Kafka topic that says which of them are settled."""
    return f"{plan.dead_letters}.settled"


def settled_place(plan: SubscriptionPlan) -> Destination:
    """The same, as something that can be published to and read."""
    return _stream(settled_of(plan), plan)


def wanted_redrives(plan: SubscriptionPlan, partitions: int) -> Wanted:
    """As many partitions as the dead letters have: those of the source. Nothing in it expires unread."""
    name = plan_of(plan).destination.physical
    return Wanted(name, partitions, plan.destination.replication, FOREVER, create=True, verify=False)


def wanted_settled(plan: SubscriptionPlan) -> Wanted:
    """One partition: few are settled at a time, and all are read at once."""
    return Wanted(settled_of(plan), 1, plan.destination.replication, _COMPACTED, create=True, verify=False)


def mark_of(identity: str, position: Position) -> str:
    """The key of the record that says that a dead letter is settled.

    `identity` is that of the Kafka topic: in one that was deleted and made again the same positions are other letters.
    """
    return f"{identity}:{position.partition}:{position.offset}"


def _stream(name: str, plan: SubscriptionPlan) -> Destination:
    return Destination(name, Kind.STREAM, plan.destination.transport, name)
