"""What the tests of this folder work with: names of their own, transports that are closed, queues that are removed."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pika
from pydantic import SecretStr

from busbridge.errors import SourceEnded
from busbridge.routing import Binding, Destination, Kind, SubscriptionPlan, Topology, TransportSettings
from busbridge.transport import Entry
from busbridge_rabbitmq import RabbitMQTransport, _topology

SECONDS = 20.0


def settings_for(url, **changes):
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    known = {"user": parts.username, "password": SecretStr(parts.password or ""), "patience": 30.0}
    return TransportSettings("rabbitmq", bare, **(known | changes))


class Bench:
    """One test's destinations on one broker."""

    def __init__(self, broker):
        self.broker = broker
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.declared = []
        self.make = RabbitMQTransport

    def queue(self, name="orders", **changes):
        return Destination(name, Kind.QUEUE, "rabbitmq", f"{self.prefix}.{name}", **changes)

    def topic(self, name="news", **changes):
        return Destination(name, Kind.TOPIC, "rabbitmq", f"{self.prefix}.{name}", **changes)

    def plan(self, destination, name="reader", **changes):
        bindings = (Binding("#"),) if destination.kind is Kind.TOPIC else ()
        return SubscriptionPlan(self.prefix, name, destination, **({"bindings": bindings} | changes))

    @asynccontextmanager
    async def transport(self, *parts, url=None, **changes):
        """An open transport with destinations and plans provisioned."""
        made = self.make(settings_for(url or self.broker.url, **changes))
        await made.open()
        try:
            await made.provision(self.topology(*parts))
            yield made
        finally:
            await made.close()

    def topology(self, *parts):
        made = Topology(
            tuple(each for each in parts if isinstance(each, Destination)),
            tuple(each for each in parts if isinstance(each, SubscriptionPlan)),
        )
        self.declared.append(made)
        return made

    def count(self, queue):
        """Messages that are ready in a queue, asked by a bare client."""
        with self.broker.connect() as connection:
            return connection.channel().queue_declare(queue, passive=True).method.message_count

    def consumers(self, *queues):
        """How many consumers each of them has; 0 where it does not exist."""
        return [self._consumers(queue) for queue in queues]

    def _consumers(self, queue):
        with self.broker.connect() as connection:
            try:
                return connection.channel().queue_declare(queue, passive=True).method.consumer_count
            except pika.exceptions.ChannelClosedByBroker:
                return 0

    def delete(self, queue):
        """Deletes a queue with all that is in it, as an operator may."""
        with self.broker.connect() as connection:
            connection.channel().queue_delete(queue)

    def bodies(self, queue):
        """What is in a queue, taken out by a bare client: (body, properties) of each."""
        with self.broker.connect() as connection:
            channel = connection.channel()
            found = []
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                found.append((got[2], got[1]))
            return found

    def write(self, queue, body, properties=None):
        """Publishes as a client without busbridge would."""
        with self.broker.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, properties or pika.BasicProperties(), mandatory=True)

    def remove(self):
        """Removes what the topologies declared."""
        with self.broker.connect() as connection:
            channel = connection.channel()
            for topology in self.declared:
                for each in _topology.declarations(topology):
                    if isinstance(each, _topology.Queue):
                        channel.queue_delete(each.name)
                    elif isinstance(each, _topology.Exchange):
                        channel.exchange_delete(each.name)
                    elif isinstance(each, _topology.Sharded):
                        for queue in each.queues:
                            channel.queue_delete(queue.name)


def entry(destination, number, key=None, size=None, **changes):
    """A message whose body is its number, or `size` bytes."""
    body = str(number).encode() if size is None else bytes(size)
    headers = [("content-type", "application/json"), ("ce-id", f"id-{number}")]
    if key is not None:
        headers.append(("ce-partitionkey", key))
    return Entry(destination, body, headers, key, **changes)


def entries(destination, count, start=0):
    return [entry(destination, number) for number in range(start, start + count)]


async def take(source, count, seconds=SECONDS):
    """The next `count` deliveries, not settled."""
    taken = []
    async with asyncio.timeout(seconds):
        while len(taken) < count:
            taken += await source.receive()
    return taken


async def leave(source):
    """Drains and closes, accepting what is still handed over."""
    source.drain()
    try:
        while True:
            for delivery in await source.receive():
                delivery.accept()
    except SourceEnded:
        pass
    await source.flush(SECONDS)
    await source.close()
