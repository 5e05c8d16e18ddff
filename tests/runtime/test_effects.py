"""With a store the effects of a message happen once."""

from __future__ import annotations

from busbridge import Context
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import make_tables, stock_service, with_store, write, written


async def test_rows_and_messages_of_a_handler_come_to_be_once_also_when_the_message_comes_twice(config):
    service, reserve = stock_service()
    calls = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        calls.append(order.order_id)
        await write(order.order_id, context)
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=with_store(config)) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        ids = [await bus.publish(Placed(order_id=str(n))) for n in range(20)]
        await bus.settled()
        for each in ids:
            await bus.redeliver(each)
        await bus.settled()
        await stock._storing.relay.idle()
        assert sorted(await written(stock), key=int) == [str(n) for n in range(20)] == sorted(calls, key=int)
        assert [each.order_id for each in bus.published(Reserved)] == calls
        counts = stock.counts["reserve"]
        assert (counts.handled, counts.duplicate) == (20, 20)
