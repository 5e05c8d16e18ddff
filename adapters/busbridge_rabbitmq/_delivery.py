"""A delivery from RabbitMQ: it knows its consumer and its tag there."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from busbridge.transport import Delivery, Settlement
from busbridge_rabbitmq._properties import PARTITION_KEY, incoming

if TYPE_CHECKING:
    from pika.spec import BasicProperties

    from busbridge.transport import Headers
    from busbridge_rabbitmq._consumer import Consumer


@final
class RabbitDelivery(Delivery):
    """One message as one channel delivered it."""

    __slots__ = ("consumer", "finished", "properties", "tag")

    def __init__(
        self, consumer: Consumer, tag: int, properties: BasicProperties, body: bytes, *, redelivered: bool
    ) -> None:
        # What Delivery.__init__ does, without its call: this runs for each message.
        self.session = consumer.session
        self.body = body
        self.headers = incoming(properties)
        self.key = properties.headers.get(PARTITION_KEY) if properties.headers else None
        self.position = None
        self.redelivered = redelivered
        self.attempt = 1
        self.settlement = None
        self.consumer = consumer
        self.tag = tag
        self.properties = properties
        self.finished = False
        """Nothing more happens to it here: settled, or released."""

    def again(self) -> RabbitDelivery:
        """The next attempt at the same message."""
        made = RabbitDelivery(self.consumer, self.tag, self.properties, self.body or b"", redelivered=True)
        made.attempt = self.attempt + 1
        return made

    def _settle(self, settlement: Settlement, record: Headers) -> None:
        if settlement is Settlement.ACCEPTED:
            self.consumer.accepted(self)
        elif settlement is Settlement.RETRIED:
            self.consumer.retried(self)
        else:
            self.consumer.rejected(self, record)

    def _put_off(self, tier: int, added: Headers) -> None:
        self.consumer.put_off(self, tier, added)

    def _release(self) -> None:
        if not self.finished:
            self.consumer.released(self)
