"""The hash that Kafka's clients place keys with, so that a key has one shard whatever the language of the publisher."""

from __future__ import annotations

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of `data`, made positive as `org.apache.kafka.common.utils.Utils.toPositive` does."""
    mixed = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _MASK
        word = (word ^ (word >> 24)) * _FACTOR & _MASK
        mixed = (mixed * _FACTOR & _MASK) ^ word
    if len(data) > whole:
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    mixed = (mixed ^ (mixed >> 13)) * _FACTOR & _MASK
    return (mixed ^ (mixed >> 15)) & 0x7FFFFFFF
