"""Deletes from the broker what declarations put there. The broker takes the deletion of what isn't there as done."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge.errors import AccessRefused, TransportError
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._channel import Channel
from busbridge_rabbitmq._claims import presences
from busbridge_rabbitmq._topology import Bind, Exchange, Queue, Sharded, declarations, subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busbridge.routing import Topology
    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._topology import Declaration


@final
class Remover:
    """Deletes over a link, each time on channels of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def remove(self, topology: Topology) -> None:
        """Deletes queues, then exchanges. Raises AccessRefused, TransportError."""
        queues, exchanges = _created(topology)
        try:
            await self._delete(queues, exchanges)
            for name in _shared(topology):
                await self._delete_unused(name)
        except AMQPError as error:
            reply = _errors.text(error)
            if _errors.code(error) == _errors.ACCESS_REFUSED:
                raise AccessRefused(self._link.broker, self._link.user, reply) from error
            raise TransportError(f"{self._link.broker}: {reply}") from error

    async def _delete(self, queues: list[str], exchanges: list[str]) -> None:
        channel = await Channel.open(await self._link.wire())
        try:
            for name in queues:
                await channel.call(channel.raw.queue_delete, queue=name)
            for name in exchanges:
                await channel.call(channel.raw.exchange_delete, exchange=name)
        finally:
            await channel.close(1)

    async def _delete_unused(self, exchange: str) -> None:
        """On a channel of its own, which the broker closes when the exchange is in use."""
        channel = await Channel.open(await self._link.wire())
        try:
            await channel.call(channel.raw.exchange_delete, exchange=exchange, if_unused=True)
        except AMQPError as error:
            if _errors.code(error) != _errors.PRECONDITION_FAILED:
                raise
        finally:
            await channel.close(1)


def _created(topology: Topology) -> tuple[list[str], list[str]]:
    """The queues and the exchanges that are this topology's alone, each once."""
    queues: dict[str, None] = {}
    exchanges: dict[str, None] = {}
    shared = set(_shared(topology))
    for declaration in _declarations(topology):
        match declaration:
            case Exchange(name, create=True) if name not in shared:
                exchanges[name] = None
            case Queue(name, create=True):
                queues[name] = None
            case Sharded(shards):
                queues.update(dict.fromkeys(_of_shards(shards)))
            case _:
                pass
    return list(queues), list(exchanges)


def _declarations(topology: Topology) -> Iterator[Declaration]:
    """Those of subscriptions that are not durable, too: their dead letters are kept."""
    yield from declarations(topology)
    for plan in topology.subscriptions:
        yield from subscription(plan)


def _of_shards(shards: tuple[Queue, ...]) -> Iterator[str]:
    """The shards and the queues that workers count each other by. A claim goes with the connection of its worker."""
    if shards[0].create:
        yield from (shard.name for shard in shards)
        yield from presences(shards[0].name.removesuffix(".0"))


def _shared(topology: Topology) -> Iterator[str]:
    """The exchanges behind topics of somebody else, which subscriptions of others may be bound to as well."""
    theirs = {plan.destination.physical for plan in topology.subscriptions if not plan.destination.provision}
    for declaration in _declarations(topology):
        match declaration:
            case Bind(source, target, to_exchange=True) if source in theirs:
                yield target
            case _:
                pass
