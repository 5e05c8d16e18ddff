"""The record of a dead letter once more, under the names that Kafka Connect and Spring write: what tools look for."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from busbridge.retry import PREFIX

if TYPE_CHECKING:
    from busbridge.routing import SubscriptionPlan
    from busbridge.transport import Headers

_CONNECT: Final = "__connect.errors."
_SPRING: Final = "kafka_dlt-"
_INT: Final = Struct(">i").pack
_LONG: Final = Struct(">q").pack


def aliases(record: Headers, plan: SubscriptionPlan) -> list[tuple[str, object]]:
    """Each as its tool encodes it: Connect everything as text, Spring numbers big-endian."""
    told = {name.removeprefix(PREFIX): str(value) for name, value in record}
    topic = plan.destination.physical
    pairs: list[tuple[str, object]] = [
        (f"{_CONNECT}topic", topic),
        (f"{_CONNECT}exception.class.name", told.get("error-type", "")),
        (f"{_CONNECT}exception.message", told.get("error", "")),
        (f"{_SPRING}original-topic", topic),
        (f"{_SPRING}original-consumer-group", plan.group),
        (f"{_SPRING}exception-fqcn", told.get("error-type", "")),
        (f"{_SPRING}exception-message", told.get("error", "")),
    ]
    partition, _, offset = told.get("position", "").partition(":")
    if partition and offset:
        pairs += [
            (f"{_CONNECT}partition", partition),
            (f"{_CONNECT}offset", offset),
            (f"{_SPRING}original-partition", _INT(int(partition))),
            (f"{_SPRING}original-offset", _LONG(int(offset))),
        ]
    return pairs
