"""Applies declarations to the broker, or verifies them. Nothing that exists is ever changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pika.exceptions import AMQPError

from busbridge.errors import AccessRefused, BusbridgeError, TopologyMismatch, TransportError
from busbridge_rabbitmq import _errors
from busbridge_rabbitmq._channel import Channel
from busbridge_rabbitmq._topology import Bind, Exchange, Queue, Sharded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge_rabbitmq._connection import Link
    from busbridge_rabbitmq._topology import Declaration


@final
class Provisioner:
    """Declares over a link. A refusal closes the channel it happened on, so that each run has one of its own."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def apply(self, declarations: Iterable[Declaration]) -> None:
        """Declares all, in order, skipping repeats. Raises TopologyMismatch, AccessRefused, TransportError."""
        channel = await self._channel()
        try:
            for declaration in declarations:
                await self._one(channel, declaration)
        finally:
            await channel.close(1)

    async def _channel(self) -> Channel:
        try:
            return await Channel.open(await self._link.wire())
        except AMQPError as error:
            raise TransportError(f"{self._link.broker}: {_errors.text(error)}") from error

    async def _one(self, channel: Channel, declaration: Declaration) -> None:
        try:
            match declaration:
                case Exchange():
                    await _exchange(channel, declaration)
                case Queue():
                    await _queue(channel, declaration)
                case Bind():
                    await _bind(channel, declaration)
                case Sharded():
                    await self._sharded(channel, declaration)
        except AMQPError as error:
            raise self._refused(declaration, error) from error

    async def _sharded(self, channel: Channel, wanted: Sharded) -> None:
        """Last shard first, so that the first one's existence says that all do."""
        name = wanted.queues[0].name
        if not wanted.queues[0].create:
            for queue in wanted.queues:
                await _queue(channel, queue)
        elif await self._exists(name) and not await self._exists(wanted.last):
            raise _wrong_number(wanted, f"it has fewer than the {len(wanted.queues)} declared")
        else:
            for queue in reversed(wanted.queues):
                await _queue(channel, queue)
        # Looked at last: two processes that disagree and start at once can't both pass.
        if await self._exists(wanted.beyond):
            raise _wrong_number(wanted, f"it has more than the {len(wanted.queues)} declared")

    async def _exists(self, queue: str) -> bool:
        channel = await self._channel()
        try:
            await channel.count(queue)
        except AMQPError as error:
            if _errors.code(error) == _errors.NOT_FOUND:
                return False
            raise
        else:
            return True
        finally:
            await channel.close(1)

    def _refused(self, declaration: Declaration, error: AMQPError) -> BusbridgeError:
        reply = _errors.text(error)
        code = _errors.code(error)
        if code == _errors.ACCESS_REFUSED:
            return AccessRefused(self._link.broker, self._link.user, reply)
        if code == _errors.PRECONDITION_FAILED:
            return TopologyMismatch(_name(declaration), [_errors.difference(reply) or reply])
        if code == _errors.NOT_FOUND:
            missing = f"{_name(declaration)} is missing, and may not be created here (provision: false)"
            return TopologyMismatch(f"the broker at {self._link.broker}", [missing])
        return TransportError(f"{self._link.broker}: {reply}")


def _wrong_number(wanted: Sharded, what: str) -> TopologyMismatch:
    queue = wanted.queues[0].name.removesuffix(".0")
    return TopologyMismatch(f"ordered queue {queue!r}", [f"{what} partitions; their number is fixed at creation"])


def _name(declaration: Declaration) -> str:
    match declaration:
        case Bind():
            return f"binding of {declaration.target!r} to {declaration.source!r}"
        case Sharded():
            return f"queue {declaration.queues[0].name!r}"
        case Exchange():
            return f"exchange {declaration.name!r}"
        case Queue():
            return f"queue {declaration.name!r}"


async def _exchange(channel: Channel, wanted: Exchange) -> None:
    await channel.call(
        channel.raw.exchange_declare,
        exchange=wanted.name,
        exchange_type=wanted.type,
        durable=True,
        passive=not wanted.create,
    )


async def _queue(channel: Channel, wanted: Queue) -> None:
    await channel.call(
        channel.raw.queue_declare,
        queue=wanted.name,
        passive=not wanted.create,
        durable=True,
        auto_delete=wanted.auto_delete,
        arguments=dict(wanted.arguments),
    )


async def _bind(channel: Channel, wanted: Bind) -> None:
    if wanted.to_exchange:
        await channel.call(
            channel.raw.exchange_bind,
            destination=wanted.target,
            source=wanted.source,
            routing_key=wanted.key,
            arguments=dict(wanted.arguments),
        )
    else:
        await channel.call(
            channel.raw.queue_bind,
            queue=wanted.target,
            exchange=wanted.source,
            routing_key=wanted.key,
            arguments=dict(wanted.arguments),
        )
