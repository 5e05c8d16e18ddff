"""With a store the effects of a message happen once."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from busbridge import Bus, Context, Contract, Service
from busbridge.errors import ClosedError, HandlerError, InvalidMessage
from busbridge.runtime import MemoryTransports
from busbridge.testing import RecordingContext, harness
from tests.runtime.conftest import Placed, Reserved
from tests.runtime.effects import (
    attempts_at_once,
    make_tables,
    metadata,
    stock_service,
    until,
    with_store,
    write,
    written,
)


class Unkeyed(Contract, name="shop.unkeyed", version=1):
    number: str | None = None


async def anything(_: object) -> None: ...


class Base(DeclarativeBase):
    metadata = metadata


class Shelf(Base):
    __tablename__ = "shelves"
    order_id: Mapped[str] = mapped_column(primary_key=True)


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


async def test_what_a_transaction_has_no_time_for_is_read_once_all_the_same(config):
    """Handlers of 15 ms: a transaction ends after a few of the ten that were taken for it."""
    service, reserve = stock_service()
    read = []

    def taken(order: Placed) -> bool:
        read.append(order.order_id)
        return True

    @reserve.handles(Placed, when=taken)
    async def handler(order: Placed, context: Context) -> None:
        time.sleep(0.015)  # noqa: ASYNC251 - it keeps the loop to itself, so that no lane shares the work
        await write(order.order_id, context)

    async with harness(service, config=with_store(config)) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish_many(Placed(order_id=str(n)) for n in range(30))
        await bus.settled()
        assert sorted(read, key=int) == [str(n) for n in range(30)]


async def test_two_sources_may_use_one_id(config, tmp_path):
    """T2: an id is unique with its source only."""
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)

    transports = MemoryTransports()
    with_store(config, f"sqlite:///{tmp_path}/stock.db")
    async with Bus(service, config, transports=transports) as stock:
        await make_tables(stock)
        for name in ("web", "shop", "web"):
            async with Bus(Service(name, publishes=[Placed]), config, transports=transports) as out:
                await out.publish(Placed(order_id=name), message_id="1")
        counts = stock.counts["reserve"]
        await until(lambda: counts.handled + counts.duplicate == 3)
        assert await written(stock) == ["web", "shop"]


async def test_what_a_handler_publishes_has_the_same_id_whenever_it_runs_again(config):
    """T6: derived from what caused it, also when the first attempt was rolled back."""
    service, reserve = stock_service()
    ids: list[list[str]] = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        ids.append([context.publish(Reserved(order_id=order.order_id)) for _ in range(2)])
        if len(ids) == 1:
            raise RuntimeError("not yet")

    async with harness(service, config=with_store(config, **attempts_at_once(2))) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert len(bus.published(Reserved)) == 2
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[0][1]


@pytest.mark.parametrize(
    "call",
    [
        lambda context: context.connection.commit(),
        lambda context: context.connection.rollback(),
        lambda context: context.connection.close(),
        lambda context: context.session.commit(),
        lambda context: context.session.rollback(),
        lambda context: context.session.close(),
    ],
)
async def test_a_handler_that_ends_the_transaction_itself_is_refused_and_nothing_of_it_is_kept(config, call):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        await call(context)

    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert isinstance(bus.dead[0].error, HandlerError)
        assert "is not yours to call here" in str(bus.dead[0].error)
        assert await written(bus.bus("stock")) == []


async def test_what_a_session_holds_unflushed_is_written_with_the_message(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.session.add(Shelf(order_id=order.order_id))

    async with harness(service, config=with_store(config)) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many([Placed(order_id="a"), Placed(order_id="b")])
        await bus.settled()
        assert await shelves(stock) == ["a", "b"]


async def test_a_session_that_can_not_be_flushed_fails_its_message_and_no_other_of_the_transaction(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        context.session.add(Shelf(order_id="the same"))
        if order.cents:
            with suppress(IntegrityError):
                await context.session.flush()

    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        await bus.publish_many(Placed(order_id=each) for each in "abc")
        await bus.settled()
        assert (await written(stock), await shelves(stock)) == (["a"], ["the same"])
        assert [type(each.error) for each in bus.dead] == [IntegrityError, IntegrityError]


async def shelves(bus) -> list[str]:
    async with bus._storing.store.transaction() as transaction:
        rows = await transaction.connection.execute(text("SELECT order_id FROM shelves ORDER BY order_id"))
        return [row.order_id for row in rows]


async def test_a_part_of_the_effects_may_be_taken_back_by_the_handler(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)
        with suppress(RuntimeError):
            async with context.connection.begin_nested():
                await write("taken back", context)
                raise RuntimeError

    async with harness(service, config=with_store(config)) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert await written(bus.bus("stock")) == ["7"]


async def test_without_a_store_there_is_no_connection_and_the_error_says_what_to_add(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)

    with pytest.raises(HandlerError, match=r"add services\.stock\.store"):
        async with harness(service, config=config) as bus:
            await bus.publish(Placed(order_id="7"))
            await bus.settled()


async def test_a_context_is_of_no_use_once_its_handler_has_returned(config):
    service, reserve = stock_service()
    contexts = []

    @reserve.handles(Placed)
    async def handler(_: Placed, context: Context) -> None:
        contexts.append(context)

    async with harness(service, config=with_store(config)) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
    for use in (
        lambda each: each.connection,
        lambda each: each.session,
        lambda each: each.publish(Reserved(order_id="7")),
    ):
        with pytest.raises(ClosedError, match="which has returned"):
            use(contexts[0])


@pytest.mark.parametrize("stored", [True, False])
async def test_the_idempotency_key_is_the_same_for_a_message_and_another_for_any_other(config, stored):
    service, reserve = stock_service()
    keys = []

    @reserve.handles(Placed)
    async def handler(_: Placed, context: Context) -> None:
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            raise RuntimeError("not yet")

    config["services"]["stock"]["subscriptions"]["reserve"]["retry"] = {"attempts": 2}
    async with harness(service, config=with_store(config) if stored else config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.publish(Placed(order_id="8"))
        await bus.settled()
    first, again, other = keys
    assert first == again != other


async def test_a_field_may_identify_a_message_whose_producer_keeps_no_id(config):
    service = Service("stock", publishes=[Reserved])
    reserve = service.subscription("reserve", idempotency_key="order_id")
    keys = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        keys.append(context.idempotency_key)
        await write(order.order_id, context)

    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        stock = bus.bus("stock")
        await make_tables(stock)
        for order_id in ("7", "7", "8"):
            await bus.publish(Placed(order_id=order_id))
        await bus.settled()
        assert await written(stock) == ["7", "8"]
        assert len(set(keys)) == 2


async def test_a_message_whose_identifying_field_is_empty_is_a_dead_letter(config):
    service, reserve = stock_service()
    reserve.handles(Unkeyed, idempotency_key="number")(anything)
    config["routes"]["shop.unkeyed"] = {"to": "orders"}
    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        await bus.publish(Unkeyed())
        await bus.settled()
        assert isinstance(bus.dead[0].error, InvalidMessage)


def test_a_field_that_a_contract_does_not_have_can_not_identify_it():
    _, reserve = stock_service()
    with pytest.raises(HandlerError, match="'orderid', no field of Placed"):
        reserve.handles(Placed, idempotency_key="orderid")(anything)


async def test_what_is_not_promised_without_a_store_is_said_at_start(config, caplog):
    service, reserve = stock_service()
    reserve.handles(Placed)(anything)
    with caplog.at_level(logging.INFO, "busbridge.bus"):
        async with harness(service, config=config):
            pass
        assert "stock has no store: its handlers must expect a message twice" in caplog.text
        caplog.clear()
        async with harness(service, config=with_store(config)):
            pass
        assert "has no store" not in caplog.text


async def test_a_filtered_message_is_discarded_and_one_that_can_not_be_read_dies_also_with_a_store(config):
    service, reserve = stock_service()
    reserve.handles(Placed, when=lambda order: order.cents > 0)(anything)
    config["routes"]["shop.reserved"] = {"to": "orders"}
    async with harness(service, config=with_store(config), raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.publish(Reserved(order_id="7"))
        await bus.settled()
        counts = bus.bus("stock").counts["reserve"]
        assert (counts.discarded, counts.dead) == ({"filtered": 1}, {"not_handled": 1})


async def test_a_when_that_raises_is_an_attempt_that_failed(config):
    service, reserve = stock_service()
    asked = []

    @reserve.handles(Placed, when=lambda order: asked.append(order) or len(asked) > 2 or 1 / 0)
    async def handler(order: Placed, context: Context) -> None:
        await write(order.order_id, context)

    async with harness(service, config=with_store(config, **attempts_at_once(3))) as bus:
        await make_tables(bus.bus("stock"))
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
        assert await written(bus.bus("stock")) == ["7"]


async def test_a_plain_function_takes_part(config):
    service, reserve = stock_service()

    @reserve.handles(Placed)
    def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=with_store(config)) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.redeliver(message_id)
        await bus.settled()
        assert bus.published(Reserved) == [Reserved(order_id="7")]


async def test_a_recording_context_gives_the_connection_it_was_given():
    with pytest.raises(HandlerError, match="give RecordingContext a connection="):
        await write("7", RecordingContext())
    connection = object()
    context: RecordingContext = RecordingContext(connection=connection, session=connection, idempotency_key="k")
    assert (context.connection, context.session, context.idempotency_key) == (connection, connection, "k")
    assert RecordingContext(message_id="1").idempotency_key == RecordingContext(message_id="1").idempotency_key


async def test_with_a_store_consequences_arrive_where_they_are_routed(config):
    config["services"]["audit"] = {"subscriptions": {"watch": {"from": "events"}}}
    service, reserve = stock_service()
    audit = Service("audit")
    seen = []

    @reserve.handles(Placed)
    async def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id), headers={"shelf": "12"})

    @audit.subscription("watch").handles(Reserved)
    async def watch(order: Reserved, context: Context) -> None:
        seen.append((order.order_id, context.source, context.causation_id, context.headers["shelf"]))

    async with harness(service, audit, config=with_store(config)) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.settled()
    assert seen == [("7", "stock", message_id, "12")]
