"""Deletes the Kafka topics and the consumer groups of a topology."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from busbridge.errors import TransportError
from busbridge_kafka import _redrives as redrives

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busbridge.routing import Topology
    from busbridge_kafka._admin import Admin

EMPTY_SECONDS: Final = 15.0
"""For members to leave their group: one that was closed is gone at once, or after a rebalance."""


async def remove(admin: Admin, topology: Topology) -> None:
    """Deletes groups, then Kafka topics: a group that is still in use keeps both.

    Raises TransportError for such a group, and KafkaException where the broker refuses.
    """
    again = [redrives.plan_of(plan) for plan in topology.subscriptions]
    waiting = {name for plan in topology.subscriptions for name in plan.waiting}
    await _empty(admin, sorted(waiting | {plan.group for plan in (*topology.subscriptions, *again)}))
    names = waiting | {each.physical for each in topology.destinations if each.provision}
    names.update(plan.destination.physical for plan in again)
    for plan in topology.subscriptions:
        names.update((plan.dead_letters, redrives.settled_of(plan)))
    await admin.delete(sorted(names))


async def _empty(admin: Admin, groups: Sequence[str]) -> None:
    deadline = time.monotonic() + EMPTY_SECONDS
    while (error := await _refusal(admin, groups)) is not None:
        if time.monotonic() >= deadline:
            raise TransportError(f"consumer groups {', '.join(groups)}: {error.str()}; stop who reads, and try again")
        await asyncio.sleep(0.1)


async def _refusal(admin: Admin, groups: Sequence[str]) -> KafkaError | None:
    """Deletes the groups; returns why that must wait, if it must."""
    try:
        await admin.delete_groups(groups)
    except KafkaException as error:
        why: KafkaError = error.args[0]
        if why.code() == KafkaError.NON_EMPTY_GROUP or why.retriable():
            return why
        raise
    return None
