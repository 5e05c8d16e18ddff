"""Keys are hashed as Kafka's clients hash them."""

from __future__ import annotations

import pytest

from busbridge_rabbitmq._murmur2 import murmur2


@pytest.mark.parametrize(
    ("text", "signed"),
    [  # the vectors of Kafka's own tests
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_agrees_with_kafka(text, signed):
    assert murmur2(text.encode()) == signed & 0x7FFFFFFF
