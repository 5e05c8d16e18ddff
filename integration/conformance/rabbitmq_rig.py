"""The rig of the RabbitMQ transport."""

from __future__ import annotations

import asyncio
import uuid

import pika

from busbridge.routing import Kind
from busbridge.testing.conformance import DeadMessage, Faults
from busbridge_rabbitmq import RabbitMQTransport
from integration.conformance.line import line_to
from integration.rabbitmq.bench import settings_for

NO_SUCH_TAG = 4_000_000
_HEARTBEAT = 2
_SILENCE = 8.0
"""Four heartbeats: two are what both sides wait for."""


class RabbitMQRig:
    name = "rabbitmq"
    capabilities = RabbitMQTransport.capabilities
    patience = 30.0
    quiet = 0.3
    scale = 1
    too_large = 16 * 1024 * 1024 + 1

    transport = RabbitMQTransport

    def __init__(self, broker, *, maker=RabbitMQTransport, restartable=False):
        self.broker = broker
        self._maker = maker
        restart, kill = (self._restart, self._kill) if restartable else (None, None)
        self.faults = Faults(sever=self._sever, restart=restart, kill=kill, line=self._line)
        self._made = []
        self._run = f"conformance-{uuid.uuid4().hex[:6]}"

    def settings(self):
        return settings_for(self.broker.url)

    def make(self, settings):
        self._made.append(self._maker(settings))
        return self._made[-1]

    def unique(self, name):
        return f"{self._run}-{uuid.uuid4().hex[:6]}-{name}"

    async def dead_letters(self, plan):
        return await asyncio.to_thread(self._read_all, plan.dead_letters)

    def _read_all(self, queue):
        found = []
        with self.broker.connect() as connection:
            channel = connection.channel()
            while (got := channel.basic_get(queue))[0] is not None:
                _, properties, body = got
                found.append(DeadMessage(body, list((properties.headers or {}).items())))
        return found

    async def write_foreign(self, destination, body, headers):
        await asyncio.to_thread(self._write, destination, body, dict(headers))

    def _write(self, destination, body, headers):
        exchange, key = "", destination.physical
        if destination.kind is Kind.TOPIC:
            exchange, key = destination.physical, "foreign"
        elif destination.ordered:
            key = f"{destination.physical}.0"
        content_type = headers.pop("content-type", None)
        properties = pika.BasicProperties(headers=headers, content_type=content_type, delivery_mode=2)
        with self.broker.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, body, properties, mandatory=True)

    async def _sever(self, plan):
        """A channel error by the broker's hand: an acknowledgement that it can't know closes the channel."""
        for consumer in [each for made in self._made for source in made._sources for each in source.consumers]:
            if consumer.session.alive:
                consumer._channel.raw.basic_ack(NO_SUCH_TAG)

    def _line(self):
        return line_to(self.broker.port, self._settings_on_the_line, silence=_SILENCE)

    def _settings_on_the_line(self, port):
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        return settings_for(url, client={"heartbeat": _HEARTBEAT})

    async def _kill(self):
        await asyncio.to_thread(self.broker.flush_declarations)
        await asyncio.to_thread(self.broker.kill_and_start)

    async def _restart(self):
        await asyncio.to_thread(self.broker.restart)
