"""What is asked of a cluster as a whole. The client answers by futures, and every wait for one is bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, final

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,  # pyright: ignore[reportPrivateImportUsage]
    NewTopic,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)

from busbridge_kafka import _offsets as offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from busbridge_kafka._options import Options

SECONDS: Final = 15.0
"""For one answer of the broker."""


class Shape(NamedTuple):
    """What a Kafka topic that exists can never change, or hardly."""

    partitions: int
    replication: int
    identity: str = ""
    """Another one for a Kafka topic that was deleted and made again."""


@final
class Admin:
    """An admin client, for as long as there is something to ask.

    Its methods raise KafkaException, or TimeoutError where nobody answers.
    """

    def __init__(self, options: Options) -> None:
        self._client: Any = AdminClient(options)  # its stubs leave the futures open: typed here, once

    def probe(self, seconds: float) -> Future[Any]:
        """Asks for anything at all; done when the cluster has answered, or failed."""
        probe: Future[Any] = self._client.describe_cluster(request_timeout=seconds)
        return probe

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends its connections and threads; what was asked and not answered fails."""
        self._client.__exit__(None, None, None)

    def poll(self) -> None:
        """Serves the callbacks for errors."""
        self._client.poll(0)

    async def shapes(self, names: Sequence[str]) -> dict[str, Shape]:
        """Those of the Kafka topics that exist."""
        if not names:
            return {}
        futures: Mapping[str, Future[Any]]
        futures = self._client.describe_topics(TopicCollection(list(names)), request_timeout=SECONDS)
        found: dict[str, Shape] = {}
        for name, future in futures.items():
            try:
                described = await _answer(future)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
            else:
                partitions = described.partitions
                found[name] = Shape(len(partitions), len(partitions[0].replicas), str(described.topic_id))
        return found

    async def settings(self, name: str) -> dict[str, str]:
        """The settings of a Kafka topic, defaults included."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        futures: Mapping[Any, Future[Any]] = self._client.describe_configs([resource], request_timeout=SECONDS)
        entries = await _answer(futures[resource])
        return {str(setting): str(entry.value) for setting, entry in entries.items()}

    def positions(self, group: str, partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
        """How far a group has come; below 0: it has not begun. Blocks. A transaction that is open makes it fail."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(each.topic, each.partition) for each in partitions])
        futures = self._client.list_consumer_group_offsets([asked], require_stable=True, request_timeout=SECONDS)
        found: Sequence[TopicPartition] = futures[group].result(SECONDS * 2).topic_partitions
        offsets.raise_first(found)
        return found

    async def create(self, name: str, partitions: int, replication: int | None, config: Mapping[str, str]) -> None:
        """Creates a Kafka topic; one that exists meanwhile is left to be compared."""
        new = NewTopic(name, partitions, replication or -1, config=dict(config))
        futures: Mapping[str, Future[Any]] = self._client.create_topics([new], operation_timeout=SECONDS)
        try:
            await _answer(futures[name])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    async def visible(self, names: Iterable[str]) -> None:
        """Waits until the cluster knows new Kafka topics: what is published next must not be refused."""
        wanted = list(names)
        async with asyncio.timeout(SECONDS):
            while len(await self.shapes(wanted)) < len(wanted):  # noqa: ASYNC110  (the cluster's state has no event)
                await asyncio.sleep(0.05)

    async def delete(self, names: Sequence[str]) -> None:
        """Deletes Kafka topics, and waits until the cluster knows them no more; what isn't there is fine."""
        if not names:
            return
        futures: Mapping[str, Future[Any]]
        futures = self._client.delete_topics(list(names), operation_timeout=SECONDS)
        for future in futures.values():
            await _unless(future, KafkaError.UNKNOWN_TOPIC_OR_PART)
        async with asyncio.timeout(SECONDS):
            while await self.shapes(names):  # noqa: ASYNC110  (the cluster's state has no event)
                await asyncio.sleep(0.05)

    async def delete_groups(self, groups: Sequence[str]) -> None:
        """Deletes consumer groups; what isn't there is fine. One that has members fails with NON_EMPTY_GROUP."""
        if not groups:
            return
        futures: Mapping[str, Future[Any]]
        futures = self._client.delete_consumer_groups(list(groups), request_timeout=SECONDS)
        for future in futures.values():
            await _unless(future, KafkaError.GROUP_ID_NOT_FOUND)


async def _unless(future: Future[Any], fine: int) -> None:
    """Waits for an answer; the error `fine` is as good as none."""
    try:
        await _answer(future)
    except KafkaException as error:
        if error.args[0].code() != fine:
            raise


async def _answer(future: Future[Any]) -> Any:
    return await asyncio.wait_for(asyncio.wrap_future(future), SECONDS * 2)
