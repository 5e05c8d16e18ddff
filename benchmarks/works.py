"""What is measured: each work, who does it, how much of it, and the ratio that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BUSBRIDGE: Final = "busbridge"

PREFETCH: Final = 500
"""Unacknowledged messages that RabbitMQ hands to a consumer, on every side."""
IN_FLIGHT: Final = 1_000
"""Concurrent publishes, on every side that publishes one message a call."""
RATE: Final = 1_000
"""Messages per second where latency is measured."""


@dataclass(frozen=True)
class Side:
    """One way to do a work: a function of a module in `benchmarks.sides`."""

    name: str
    module: str
    function: str
    count: int
    """Measured messages of one round: enough for seconds, so a fast side gets more."""
    aside: str = ""
    """Why it is shown and is no peer, in a word or two; empty for all others."""
    inbox: int = 0
    """Rows that the inbox has had before the first round."""

    @property
    def consumes(self) -> bool:
        """Whether it has messages to read; else it is a client of the database alone."""
        return self.function in {"consume", "once"}


@dataclass(frozen=True, eq=False)  # each is itself, and a key
class Work:
    """`targets`: the wanted ratio of busbridge to each peer; for latency it is the highest, else the lowest."""

    name: str
    title: str
    broker: str
    sides: tuple[Side, ...]
    targets: dict[str, float]
    warm_up: int = 2_000
    database: str = ""
    """Where effects happen, for works that have some."""

    @property
    def consumes(self) -> bool:
        """Whether messages are there before a side begins."""
        return any(side.function == "consume" for side in self.sides) and not self.is_latency

    @property
    def is_latency(self) -> bool:
        """Publisher and consumer are a process each, and less is better."""
        return self.name.startswith("latency")

    @property
    def peers(self) -> list[str]:
        """Whom busbridge is compared with."""
        return [side.name for side in self.sides if side.name != BUSBRIDGE and not side.aside]


def _sides(broker: str, function: str, busbridge: int, raw: int, faststream: int) -> tuple[Side, ...]:
    raw_function = "publish_many" if function == "publish" else function  # the client has no other way to publish
    return (
        Side("raw", f"raw_{broker}", raw_function, raw),
        Side("faststream", f"faststream_{broker}", function, faststream),
        Side(BUSBRIDGE, "busbridge", function, busbridge),
    )


def _effect_once(database: str, broker: str, title: str, peer: str, target: float) -> Work:
    sides = (Side(peer, "per_message", peer, 10_000), Side(BUSBRIDGE, "effects", "once", 10_000))
    what = f"{title}: consume, then inbox, a row and an outgoing message of 809 bytes, each once; relay confirmed"
    return Work(f"effect_once_{database}_{broker}", what, broker, sides, {peer: target}, database=database)


def _inbox(database: str, title: str) -> Work:
    sides = (
        Side("10,000 rows", "effects", "once", 10_000, inbox=10_000),
        Side(BUSBRIDGE, "effects", "once", 10_000, inbox=10_000_000),
    )
    what = f"{title}, Kafka: effects once where the inbox has 10,000,000 rows, and where it has 10,000"
    return Work(f"inbox_10m_{database}", what, "kafka", sides, {"10,000 rows": 0.9}, database=database)


_LATENCY = (5_000, 5_000, 5_000)

WORKS: Final = (
    Work(
        "kafka_publish_many",
        "Kafka: validate, encode, publish, every message confirmed",
        "kafka",
        _sides("kafka", "publish_many", 100_000, 100_000, 20_000),
        {"raw": 0.85, "faststream": 6},
    ),
    Work(
        "kafka_publish",
        "the same by concurrent single publishes",
        "kafka",
        _sides("kafka", "publish", 60_000, 100_000, 15_000),
        {"raw": 0.45, "faststream": 4},
    ),
    Work(
        "kafka_consume",
        "Kafka: decode, validate, await a handler each, commit after handling",
        "kafka",
        (
            *_sides("kafka", "consume", 120_000, 120_000, 5_000),
            Side("raw in lanes", "raw_kafka_lanes", "consume", 120_000, aside="the promises' price"),
            Side("faststream batch", "faststream_kafka", "consume_batch", 60_000, aside="other work"),
        ),
        {"raw": 0.8, "faststream": 25},
    ),
    Work(
        "rabbitmq_publish",
        "RabbitMQ: publish persistent and mandatory, every message confirmed",
        "rabbitmq",
        _sides("rabbitmq", "publish_many", 20_000, 20_000, 6_000),
        {"raw": 0.9, "faststream": 3},
    ),
    Work(
        "rabbitmq_consume",
        "RabbitMQ: decode, validate, await a handler each, ack after handling",
        "rabbitmq",
        _sides("rabbitmq", "consume", 25_000, 25_000, 8_000),
        {"raw": 0.8, "faststream": 4},
    ),
    Work(
        "latency_p99_kafka",
        f"Kafka: publish to handler, p99 in ms at {RATE:,} messages/s",
        "kafka",
        _sides("kafka", "consume", *_LATENCY),
        {"raw": 1.5, "faststream": 1},
    ),
    Work(
        "latency_p99_rabbitmq",
        f"RabbitMQ: publish to handler, p99 in ms at {RATE:,} messages/s",
        "rabbitmq",
        _sides("rabbitmq", "consume", *_LATENCY),
        {"raw": 1.5, "faststream": 1},
    ),
    _effect_once("postgresql", "kafka", "PostgreSQL, Kafka", "asyncpg_per_message", 1.3),
    _effect_once("postgresql", "rabbitmq", "PostgreSQL, RabbitMQ", "asyncpg_per_message", 1.3),
    _effect_once("sqlite", "kafka", "SQLite, Kafka", "sqlite3_per_message", 0.95),
    _effect_once("sqlite", "rabbitmq", "SQLite, RabbitMQ", "sqlite3_per_message", 0.95),
    _inbox("postgresql", "PostgreSQL"),
    _inbox("sqlite", "SQLite"),
)
