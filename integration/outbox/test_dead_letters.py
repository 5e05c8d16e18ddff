"""Dead letters of messages that no broker holds any more go through the outbox to their subscription's place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from busbridge.outbox import dead_letter_place, to_dead_letter
from busbridge.outbox._rows import to_entry
from busbridge.transport import Delivery, Session, Status
from integration.kafka.bench import Bench as KafkaBench
from integration.rabbitmq.bench import Bench

FOREIGN = [
    ("content-type", "application/json"),
    ("ce-id", "m1"),
    ("share", 0.1),
    ("raw", b"\x00\xff"),
    ("nothing", None),
    ("count", 7),
    ("price", Decimal("1.10")),
    ("when", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("x-death", [{"queue": "orders", "count": 2, "share": 0.5}]),
]


def test_rabbitmq_keeps_what_it_can_write_and_the_rest_as_text(rabbitmq):
    """T25: the client raises on a float, so that the dead letter would fail for ever."""
    bench = Bench(rabbitmq)
    plan = bench.plan(bench.queue())
    record = [("busbridge-dead-reason", "failed")]
    row = to_dead_letter(Delivery(Session(), b"{}", FOREIGN, "k"), record, plan)

    async def bury():
        async with bench.transport(plan.destination, plan) as transport:
            return await transport.publish([to_entry(row, dead_letter_place(plan))], 10.0)

    try:
        (outcome,) = asyncio.run(bury())
        assert outcome.status is Status.CONFIRMED
        ((body, properties),) = bench.bodies(plan.dead_letters)
    finally:
        bench.remove()
    assert (body, properties.content_type) == (b"{}", "application/json")
    found = properties.headers
    assert found["busbridge-dead-reason"] == "failed"
    assert (found["share"], found["x-death"][0]["share"]) == ("0.1", "0.5")
    for name in ("ce-id", "raw", "nothing", "count", "price", "when"):
        assert found[name] == dict(FOREIGN)[name], name


def test_kafka_keeps_order_repeats_nulls_and_a_key_that_is_no_text(kafka):
    bench = KafkaBench(kafka)
    headers = [("ce_id", b"m1"), ("again", b"1"), ("again", b"\xff"), ("nothing", None)]
    row = to_dead_letter(Delivery(Session(), b"{}", headers, b"\x00\xff"), [("busbridge-dead-reason", "x")], bench.plan)

    async def bury():
        async with bench.open() as transport:
            return await transport.publish([to_entry(row, dead_letter_place(bench.plan))], 30.0)

    try:
        (outcome,) = asyncio.run(bury())
        assert outcome.status is Status.CONFIRMED
        (message,) = bench.read(bench.plan.dead_letters, 1)
    finally:
        bench.remove()
    assert (message.value(), message.key()) == (b"{}", b"\x00\xff")
    assert message.headers() == [*headers, ("busbridge-dead-reason", b"x")]
