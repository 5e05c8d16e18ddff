"""The rig of the Kafka transport."""

from __future__ import annotations

import asyncio
import uuid

from confluent_kafka import TopicPartition

from busbridge.routing import TransportSettings
from busbridge.testing.conformance import DeadMessage, Faults
from busbridge_kafka import KafkaTransport
from integration.conformance.line import line_to

_SHORT_SESSION = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}
_SILENCE = 9.0


def _settings_on_the_line(port):
    return TransportSettings("kafka", f"kafka://127.0.0.1:{port}", client=_SHORT_SESSION)


class KafkaRig:
    name = "kafka"
    capabilities = KafkaTransport.capabilities
    patience = 60.0
    quiet = 0.5
    scale = 1
    too_large = 2 * 1024 * 1024

    transport = KafkaTransport

    def __init__(self, broker, *, maker=KafkaTransport, restartable=False):
        self.broker = broker
        self._maker = maker
        line = self._line if broker.line is not None else None
        restart, kill = (self._restart, self._kill) if restartable else (None, None)
        self.faults = Faults(restart=restart, kill=kill, line=line)
        if restartable:  # a client that the restart strands is replaced, and its group waits for the old one's session
            self.patience = 120.0
        self._run = f"conformance-{uuid.uuid4().hex[:6]}"

    def settings(self):
        return TransportSettings("kafka", self.broker.url)

    def make(self, settings):
        return self._maker(settings)

    def unique(self, name):
        return f"{self._run}-{uuid.uuid4().hex[:6]}-{name}"

    async def dead_letters(self, plan):
        return await asyncio.to_thread(self._read_all, plan.dead_letters)

    def _read_all(self, kafka_topic):
        consumer = self.broker.consumer(self.unique("reader"), enable_auto_commit=False)
        try:
            known = consumer.list_topics(kafka_topic, timeout=10).topics[kafka_topic].partitions
            ends = {
                each: consumer.get_watermark_offsets(TopicPartition(kafka_topic, each), timeout=10) for each in known
            }
            wanted = sum(high - low for low, high in ends.values())
            consumer.assign([TopicPartition(kafka_topic, each, low) for each, (low, _) in ends.items()])
            found = []
            while len(found) < wanted:
                messages = consumer.consume(wanted - len(found), timeout=10)
                assert messages, f"{wanted - len(found)} of {wanted} dead letters could not be read"
                found += messages
            return [DeadMessage(each.value(), each.headers() or ()) for each in found]
        finally:
            consumer.close()

    async def write_foreign(self, destination, body, headers):
        await asyncio.to_thread(self._write, destination, body, list(headers))

    def _write(self, destination, body, headers):
        producer = self.broker.producer()
        producer.produce(destination.physical, body, headers=headers)
        assert producer.flush(10) == 0

    def _line(self):
        listener = self.broker.line
        return line_to(listener.port, _settings_on_the_line, silence=_SILENCE, port=listener.advertised)

    async def _kill(self):
        await asyncio.to_thread(self.broker.kill_and_start)

    async def _restart(self):
        await asyncio.to_thread(self.broker.restart)
