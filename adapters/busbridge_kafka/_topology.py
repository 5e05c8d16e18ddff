"""Kafka topics: created as declared where they are missing, compared with the declaration where they exist. Never changed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar, final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from busbridge.errors import TopologyMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient, TopicDescription

    from busbridge.routing import Destination, SubscriptionPlan, Topology

_T = TypeVar("_T")

PARTITIONS: Final = 12
"""Of a stream that declares none: divided evenly among 2, 3, 4, 6 and 12 members, and cheap on any broker."""
SECONDS: Final = 15.0
"""For one answer of the broker."""
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


async def provision(admin: AdminClient, topology: Topology) -> None:
    """Applies `topology`, idempotently. Raises TopologyMismatch, or KafkaException where the broker does not do as asked."""
    found = await _apply(admin, [wanted_stream(each) for each in topology.destinations])
    await _apply(admin, [wanted_dead_letters(each, found) for each in topology.subscriptions])


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
    """The Kafka topic of a subscription's dead letters, with as many partitions as its source. Verified to exist, no more."""
    source = plan.destination
    partitions = found.get(source.physical, source.partitions or PARTITIONS)
    return Wanted(plan.dead_letters, partitions, source.replication, FOREVER, create=True, verify=False)


def differences(wanted: Wanted, partitions: int, replication: int, config: Mapping[str, str]) -> list[str]:
    """How an existing Kafka topic differs from what is wanted; what is not declared may be anything."""
    pairs: list[tuple[str, object, object]] = [("partitions", wanted.partitions, partitions)]
    pairs.append(("replication", wanted.replication, replication))
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


async def _apply(admin: AdminClient, topics: Sequence[Wanted]) -> dict[str, int]:
    """Creates what is missing and compares what is there; returns each Kafka topic's number of partitions."""
    there = await _describe(admin, [each.name for each in topics])
    missing = [each for each in topics if each.name not in there]
    await _create(admin, missing)
    await _compare(admin, [each for each in topics if each.name in there and each.verify], there)
    counts = {name: len(each.partitions) for name, each in there.items()}
    return counts | {each.name: each.partitions for each in missing}


async def _create(admin: AdminClient, missing: Sequence[Wanted]) -> None:
    for each in missing:
        if not each.create:
            raise TopologyMismatch(f"Kafka topic {each.name!r}", ["it does not exist, and provision is off"])
    if not missing:
        return
    new = [NewTopic(each.name, each.partitions, each.replication or -1, config=dict(each.config)) for each in missing]
    for future in admin.create_topics(new, operation_timeout=SECONDS).values():
        try:
            await _answer(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process provisions the same
                raise
    await _visible(admin, [each.name for each in missing])


async def _visible(admin: AdminClient, names: Sequence[str]) -> None:
    """Waits until the broker that answers knows the new Kafka topics: what is published next must not be refused."""
    async with asyncio.timeout(SECONDS):
        while len(await _describe(admin, names)) < len(names):
            await asyncio.sleep(0.05)


async def _compare(admin: AdminClient, topics: Sequence[Wanted], there: Mapping[str, TopicDescription]) -> None:
    if not topics:
        return
    resources = {each.name: ConfigResource(ResourceType.TOPIC, each.name) for each in topics}
    futures = admin.describe_configs(list(resources.values()), request_timeout=SECONDS)
    for each in topics:
        entries = await _answer(futures[resources[each.name]])
        config = {name: str(entry.value) for name, entry in entries.items()}
        partitions = there[each.name].partitions
        if different := differences(each, len(partitions), len(partitions[0].replicas), config):
            raise TopologyMismatch(f"Kafka topic {each.name!r}", different)


async def _describe(admin: AdminClient, names: Sequence[str]) -> dict[str, TopicDescription]:
    """Those of the Kafka topics that exist."""
    if not names:
        return {}
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=SECONDS)
    there: dict[str, TopicDescription] = {}
    for name, future in futures.items():
        try:
            there[name] = await _answer(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return there


async def _answer(future: Future[_T]) -> _T:
    return await asyncio.wait_for(asyncio.wrap_future(future), SECONDS * 2)
