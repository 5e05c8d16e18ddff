"""A source whose deliveries are settled by Kafka transactions, together with what was published because of them."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, cast, final

from confluent_kafka import TopicPartition

from busbridge.errors import StaleDelivery, TransactionAborted
from busbridge.transport import Settlement
from busbridge_kafka._aliases import aliases
from busbridge_kafka._dead_letters import DeadLetter, dead_letter_place
from busbridge_kafka._hand import Hand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Finished
    from busbridge_kafka._batch import Sendable
    from busbridge_kafka._delivery import KafkaDelivery
    from busbridge_kafka._source import KafkaSource
    from busbridge_kafka._transactions import Transactions

_log: Final = logging.getLogger("busbridge.kafka")

LEAVING: Final = 5.0
"""Seconds for a transaction that is on its way when the source is closed."""


@final
class KafkaTransactionalSource:
    """A member of a group whose position no other way moves."""

    def __init__(
        self, plan: SubscriptionPlan, source: KafkaSource, transactions: Transactions, origin: SubscriptionPlan
    ) -> None:
        """Takes what `plan` says; dead letters are those of `origin`."""
        self._plan = plan
        self._origin = origin
        self._source = source
        self._transactions = transactions
        self._dead_letters = dead_letter_place(origin)
        self._hand = Hand(f"busbridge-kafka-transactions-{plan.group}")
        self._closed = False
        self.drain = source.drain
        self.flush = source.flush

    async def start(self) -> None:
        """Begins to take deliveries; on failure nothing is left running."""
        try:
            await self._hand.do(self._transactions.begin)
            await self._source.start()
        except BaseException:
            await self.close()
            raise

    async def receive(self) -> list[KafkaDelivery]:
        """See `Source.receive`."""
        return await self._source.receive()

    async def commit(self, finished: Sequence[Finished]) -> None:
        """See `TransactionalSource.commit`."""
        letters, offsets = list(self._letters(finished)), self._offsets(finished)
        membership = partial(self._membership, finished)
        await self._hand.do(partial(self._transactions.commit, letters, offsets, membership))
        for delivery, _, record in finished:
            settlement = Settlement.ACCEPTED if record is None else Settlement.REJECTED
            cast("KafkaDelivery", delivery).committed(settlement)

    async def close(self) -> None:
        """See `Source.close`."""
        if self._closed:
            return
        self._closed = self._transactions.closed = True
        ended = self._hand.do(self._transactions.close)
        self._hand.end()
        await asyncio.wait([ended], timeout=LEAVING)
        if not ended.done():
            _log.warning("%r leaves a transaction to its broker", self)
        await self._source.close()

    def _letters(self, finished: Iterable[Finished]) -> Iterator[Sendable]:
        for delivery, entries, record in finished:
            yield from entries
            if record is not None:
                told = [*record, *aliases(record, self._origin)]
                yield DeadLetter(self._dead_letters, cast("KafkaDelivery", delivery), told)

    def _offsets(self, finished: Iterable[Finished]) -> list[TopicPartition]:
        """Where the group goes on: behind the last one of each partition, whatever stands between them."""
        last = {each.delivery.session: cast("KafkaDelivery", each.delivery) for each in finished}
        topic = self._plan.destination.physical
        return [TopicPartition(topic, each.assignment.partition, each.offset + 1) for each in last.values()]

    def _membership(self, finished: Iterable[Finished]) -> bytes:
        """In the thread of the transaction.

        Sessions are looked at after the group has named this process: it names it anew only after they have ended, so
        that the broker refuses the name where they end from now on (T10, KIP-447).
        """
        membership = self._source.membership
        for delivery, _, _ in finished:
            if not delivery.session.alive:
                raise StaleDelivery(repr(delivery))
        if membership is None:
            raise TransactionAborted(self._plan.group, "this process is no member of its group now")
        return membership

    def __repr__(self) -> str:
        return f"<KafkaTransactionalSource, {self._source!r}>"
