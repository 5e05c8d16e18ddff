"""Kafka topics: created as declared where they are missing, compared where they exist. Never changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, final

from confluent_kafka import KafkaException

from busbridge.errors import TopologyMismatch
from busbridge_kafka import _errors as errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busbridge.routing import Destination, SubscriptionPlan, Topology
    from busbridge_kafka._admin import Admin, Shape

PARTITIONS: Final = 12
"""Of a stream that declares none: divided evenly among 2, 3, 4, 6 and 12 members, and cheap on any broker."""
OVERDUE_SECONDS: Final = 30 * 86_400
"""How long an attempt that nobody makes is kept; after that the subscription stops with PositionLost."""
FOREVER: Final = {"retention.ms": "-1"}
"""Dead letters are kept until somebody decides about them."""


@final
class Wanted:
    """A Kafka topic as the configuration wants it."""

    __slots__ = ("config", "create", "name", "partitions", "replication", "verify")

    def __init__(self, name: str, partitions: int, replication: int | None, config: Mapping[str, str],
                 *, create: bool, verify: bool) -> None:  # fmt: skip
        self.name = name
        self.partitions = partitions
        self.replication = replication
        self.config = config
        self.create = create
        self.verify = verify


async def provision(admin: Admin, topology: Topology) -> None:
    """Applies `topology`, idempotently. Raises TopologyMismatch, and KafkaException where the broker refuses."""
    found = await _apply(admin, [wanted_stream(each) for each in topology.destinations])
    await _apply(admin, [wanted_dead_letters(each, found) for each in topology.subscriptions])
    await _apply(admin, [each for plan in topology.subscriptions for each in wanted_waiting(plan, found)])


def wanted_stream(destination: Destination) -> Wanted:
    """The Kafka topic of a stream."""
    count = destination.partitions
    return Wanted(
        destination.physical,
        PARTITIONS if count is None else count,
        destination.replication,
        _config(destination),
        create=destination.provision,
        verify=destination.provision,
    )


def wanted_dead_letters(plan: SubscriptionPlan, found: Mapping[str, int]) -> Wanted:
    """The Kafka topic of a subscription's dead letters, with its source's partitions. One that exists will do."""
    return _own(plan, plan.dead_letters, found, FOREVER)


def wanted_waiting(plan: SubscriptionPlan, found: Mapping[str, int]) -> list[Wanted]:
    """The Kafka topics in which attempts wait, one for each tier. Kafka forgets by age alone, so it is a long one."""
    return [
        _own(plan, name, found, {"retention.ms": str(round((OVERDUE_SECONDS + seconds) * 1000))})
        for name, seconds in zip(plan.waiting, plan.retry.tiers, strict=True)
    ]


def _own(plan: SubscriptionPlan, name: str, found: Mapping[str, int], config: Mapping[str, str]) -> Wanted:
    source = plan.destination
    partitions = found.get(source.physical, source.partitions or PARTITIONS)
    return Wanted(name, partitions, source.replication, config, create=True, verify=False)


def differences(wanted: Wanted, shape: Shape, config: Mapping[str, str]) -> list[str]:
    """How an existing Kafka topic differs from what is wanted; what is not declared may be anything."""
    pairs: list[tuple[str, object, object]] = [("partitions", wanted.partitions, shape.partitions)]
    pairs.append(("replication", wanted.replication, shape.replication))
    pairs.extend((name, value, config.get(name)) for name, value in wanted.config.items())
    return [f"{name} is {there}, declared {want}" for name, want, there in pairs if not _same(want, there)]


def _same(wanted: object, there: object) -> bool:
    return wanted is None or sorted(str(wanted).split(",")) == sorted(str(there).split(","))


def _config(destination: Destination) -> dict[str, str]:
    config: dict[str, str] = {}
    kept = destination.retention is not None
    if destination.retention is not None:
        config["retention.ms"] = str(destination.retention // timedelta(milliseconds=1))
    compacted = "compact,delete" if kept else "compact"
    return {"cleanup.policy": compacted if destination.compaction else "delete", **config}


async def _apply(admin: Admin, topics: Sequence[Wanted]) -> dict[str, int]:
    """Creates what is missing and compares what is there; returns each Kafka topic's number of partitions."""
    there = await admin.shapes([each.name for each in topics])
    missing = [each for each in topics if each.name not in there]
    for each in missing:
        await _create(admin, each)
    await admin.visible([each.name for each in missing])
    for each in topics:
        if each.verify and each.name in there:
            await _compare(admin, each, there[each.name])
    counts = {name: shape.partitions for name, shape in there.items()}
    return counts | {each.name: each.partitions for each in missing}


async def _create(admin: Admin, wanted: Wanted) -> None:
    if not wanted.create:
        raise TopologyMismatch(f"Kafka topic {wanted.name!r}", ["it does not exist, and provision is off"])
    try:
        await admin.create(wanted.name, wanted.partitions, wanted.replication, wanted.config)
    except KafkaException as error:
        if error.args[0].code() not in errors.NO_SUCH_STREAM:
            raise
        said = f"it does not exist, and the cluster refuses to make it: {error.args[0].str()}"
        raise TopologyMismatch(f"Kafka topic {wanted.name!r}", [said]) from error


async def _compare(admin: Admin, wanted: Wanted, shape: Shape) -> None:
    if different := differences(wanted, shape, await admin.settings(wanted.name)):
        raise TopologyMismatch(f"Kafka topic {wanted.name!r}", different)
