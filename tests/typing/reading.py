"""Reading a stream, for the type checkers: never run. Each `type: ignore` is an error they must find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import assert_type

from busbridge import BlockingBus, Bus, Contract, StreamMessage, StreamReader


class Placed(Contract, name="shop.placed", version=1, key="order_id"):
    order_id: str


async def reads(bus: Bus[None], blocking: BlockingBus) -> None:
    reader = bus.read("history", Placed, start=datetime(2026, 1, 1, tzinfo=UTC), until=None, on_invalid="skip")
    assert_type(reader, StreamReader[Placed])
    async with reader:
        assert_type(await anext(reader), StreamMessage[Placed])
    async for each in bus.read("history", Placed, start=5, until="now"):
        assert_type(each.message, Placed)
        assert_type(each.headers, Mapping[str, str])
        assert_type(each.time, datetime)
        each.message.order_id.upper()
        print(each.message.cents)  # type: ignore[attr-defined]
    assert_type(reader.remaining, int | None)
    assert_type(blocking.read("history", Placed), Iterator[StreamMessage[Placed]])
    bus.read("history", str)  # type: ignore[type-var]
    bus.read("history", Placed, start="beginning")  # type: ignore[arg-type]
    bus.read("history", Placed, until="end")  # type: ignore[arg-type]
