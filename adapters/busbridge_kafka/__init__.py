"""The Kafka transport of busbridge: streams over Kafka topics, with positions, replay and per-key order."""

from busbridge_kafka._transport import KafkaTransport

__all__ = ["KafkaTransport"]
