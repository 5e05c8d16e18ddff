"""What is settled on one channel: told to the broker in few commands, and followed until its queue has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, final

from busbridge_rabbitmq._acks import Acks

if TYPE_CHECKING:
    from busbridge.transport import Session
    from busbridge_rabbitmq._channel import Channel

_STUCK_AFTER = 1.0
"""Seconds after which what is finished behind a delivery that still runs is acknowledged one by one."""

_SURE = 24
"""So many commands surely reach a quorum queue, whatever becomes of the channel; the broker's own limit is 32."""


@final
class Settling:
    """Acknowledges what is finished once per turn of the loop, or once a second when leaving.

    A channel passes at most 32 settling commands to a quorum queue that the queue has not applied yet. Further ones it
    keeps until some are, and forgets when it closes: what they settled comes again, though the broker had read them
    and closed in agreement (https://github.com/rabbitmq/rabbitmq-server/issues/10327). So they are counted, and whoever
    closes the channel while they are `doubtful` first calls `overtake`.
    """

    def __init__(self, session: Session, prefetch: int) -> None:
        self.acks = Acks()
        self.leaving = False
        """No more deliveries are handed over, so that nobody waits for an acknowledgement."""
        self._session = session
        self._prefetch = prefetch
        self._channel: Channel | None = None
        self._unproven = 0
        """Commands that the channel may still keep."""
        self._returned: list[int] = []
        self._scheduled = False
        self._stuck: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def begin(self, channel: Channel) -> None:
        """Settles on this channel."""
        self._channel = channel

    def end(self) -> None:
        """Nothing more can be settled."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def accept(self, tag: int) -> None:
        """The broker may forget it."""
        self.acks.finish(tag)
        if not self._scheduled:
            self._scheduled = True
            if self.leaving:
                self._loop.call_later(_STUCK_AFTER, self._flush)
            else:
                self._loop.call_soon(self._flush)

    def give_back(self, tag: int) -> None:
        """The broker may hand it over again, to whom it likes."""
        self.acks.forget(tag)
        if not self._returned:
            self._loop.call_soon(self._return)
        self._returned.append(tag)

    def settle(self) -> None:
        """Tells the broker all, now."""
        self._flush()
        self._ack_singly()

    def _return(self) -> None:
        if self._session.alive and self._channel is not None:
            for tag in self._returned:
                self._channel.raw.basic_nack(tag, requeue=True)
            self._unproven += len(self._returned)
        self._returned.clear()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._session.alive or self._channel is None:
            return
        self._return()  # first: a cumulative ack must not cover what is to go back
        prefix = self.acks.prefix()
        if prefix is not None:
            self._channel.raw.basic_ack(prefix, True)  # noqa: FBT003
            self._unproven += 1
        if self.acks.behind >= max(1, self._prefetch // 2):
            self._ack_singly()
        elif self.acks.behind and self._stuck is None:
            self._stuck = self._loop.call_later(_STUCK_AFTER, self._ack_singly)

    def _ack_singly(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        if self._session.alive and self._channel is not None:
            stuck = self.acks.stuck()
            for tag in stuck:
                self._channel.raw.basic_ack(tag)
            self._unproven += len(stuck)

    @property
    def doubtful(self) -> bool:
        """Whether closing the channel now could lose some."""
        return self._unproven > _SURE

    async def cancel(self, consumer_tag: str) -> None:
        """Cancels a consumer: the queue confirms that only after all that was settled before."""
        if self._channel is not None:
            before = self._unproven
            await self._channel.cancel(consumer_tag)
            self._unproven -= before

    async def arrive(self) -> None:
        """Waits until the broker has read all commands so far: any answer on their channel says so."""
        if self._channel is not None:
            await self._channel.call(self._channel.raw.basic_qos, prefetch_count=self._prefetch)

    async def overtake(self, queue: str) -> None:
        """Waits until the queue has all commands so far.

        Only a consumer that comes and goes is answered by the queue itself, in its turn. By its second answer, the
        channel has sent what it kept. It may be handed a message meanwhile, which goes back to the head of the queue.
        Not so on a shard: there it stands behind the single active consumer, and is handed nothing.
        """
        if self._channel is None:
            return
        before, tag, taken = self._unproven, f"{queue} {id(self):x} last", list[int]()

        def handed(_channel: object, method: Any, _properties: object, _body: bytes) -> None:
            taken.append(method.delivery_tag)

        await self._channel.call(self._channel.raw.basic_qos, prefetch_count=1)
        await self._channel.call(
            self._channel.raw.basic_consume,
            queue=queue,
            on_message_callback=handed,
            consumer_tag=tag,
            arguments={"x-priority": -1000},  # others first
        )
        await self._channel.cancel(tag)
        self._unproven -= before
        for each in taken:
            self.give_back(each)
        self._return()
