"""pika by hand, on its `AsyncioConnection`, as one who knows it well would write it for this very work.

Publishing: persistent, mandatory, confirms pipelined with a bounded number of unconfirmed messages; each confirm and
each return is checked. Consuming: headers decoded, the model found by type and schema, the body validated, the handler
awaited, and one cumulative ack for all that came in one piece.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.spec import Basic

from benchmarks.job import paced
from benchmarks.orders import MODELS, Envelopes, encoded, orders
from benchmarks.works import PREFETCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pika.channel import Channel

    from benchmarks.job import Job, Tally
    from benchmarks.orders import OrderPlaced

UNCONFIRMED = 4_000
"""As many as busbridge allows itself."""
_WRITES_PER_TURN = 100


async def _channel(url: str) -> Channel:
    opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

    def failed(_connection: object, reason: BaseException | str) -> None:
        if not opened.done():
            opened.set_exception(RuntimeError(f"no connection: {reason}"))

    AsyncioConnection(
        pika.URLParameters(url),
        on_open_callback=lambda connection: connection.channel(on_open_callback=opened.set_result),
        on_open_error_callback=failed,
    )
    return await opened


class _Publisher:
    """Keeps the pipeline full: writes while fewer than `UNCONFIRMED` are on their way."""

    def __init__(self, channel: Channel, place: str) -> None:
        self._channel = channel
        self._place = place
        self._headers = Envelopes("ce-", "bench").headers
        self._tag, self._lowest = 0, 1
        self._unconfirmed: set[int] = set()
        self._scheduled = False
        self._source: Iterator[OrderPlaced] = iter(())
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, job: Job) -> _Publisher:
        publisher = cls(await _channel(job.url), job.place)
        selected: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        publisher._channel.add_on_return_callback(publisher._returned)
        publisher._channel.confirm_delivery(publisher._answered, callback=selected.set_result)
        await selected
        return publisher

    def publish(self, order: OrderPlaced) -> None:
        headers = dict(self._headers(order))
        properties = pika.BasicProperties(
            content_type=headers.pop("content-type"), headers=headers, delivery_mode=pika.DeliveryMode.Persistent.value
        )
        self._channel.basic_publish("", self._place, encoded(order), properties, mandatory=True)
        self._tag += 1
        self._unconfirmed.add(self._tag)

    async def publish_all(self, source: Iterator[OrderPlaced]) -> None:
        self._source = source
        self._done = asyncio.get_running_loop().create_future()
        self._write()
        await self._done

    def _write(self) -> None:
        """Writes a little at a time, so that confirms are read in between."""
        self._scheduled = False
        for _ in range(min(_WRITES_PER_TURN, UNCONFIRMED - len(self._unconfirmed))):
            order = next(self._source, None)
            if order is None:
                if not self._unconfirmed and not self._done.done():
                    self._done.set_result(None)
                return
            self.publish(order)
        if len(self._unconfirmed) < UNCONFIRMED:
            self._write_soon()

    def _write_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _answered(self, frame: Any) -> None:
        method = frame.method
        assert isinstance(method, Basic.Ack), f"the broker did not take message {method.delivery_tag}"
        if method.multiple:
            self._unconfirmed.difference_update(range(self._lowest, method.delivery_tag + 1))
            self._lowest = method.delivery_tag + 1
        else:
            self._unconfirmed.discard(method.delivery_tag)
        self._write_soon()

    def _returned(self, _channel: object, method: Any, *_: object) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(f"unroutable: {method.reply_text}"))

    async def close(self) -> None:
        await self.publish_all(iter(()))  # ends when nothing is unconfirmed
        self._channel.connection.close()


async def publish_many(job: Job) -> None:
    publisher = await _Publisher.open(job)
    await publisher.publish_all(orders(job.warm_up))
    job.meter.start()
    await publisher.publish_all(orders(job.count))
    job.meter.stop()
    await publisher.close()


async def publish_paced(job: Job) -> None:
    publisher = await _Publisher.open(job)
    async for order in paced(job):
        publisher.publish(order)
    await publisher.close()


async def consume(job: Job, tally: Tally) -> None:
    channel = await _channel(job.url)
    ready = _Ready()
    channel.basic_qos(prefetch_count=PREFETCH)
    channel.basic_consume(job.place, ready.put)
    while not tally.finished.is_set():
        messages = await ready.take()
        for _tag, properties, body in messages:
            await _handle(properties, body, tally)
        channel.basic_ack(messages[-1][0], multiple=True)
    await asyncio.sleep(0.1)
    channel.connection.close()


async def _handle(properties: pika.BasicProperties, body: bytes, tally: Tally) -> None:
    headers = properties.headers
    model = MODELS[headers["ce-type"], headers["ce-dataschema"]]
    await tally.handle(model.model_validate_json(body))


class _Ready:
    """Messages that came and were not taken."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, pika.BasicProperties, bytes]] = []
        self._waiter: asyncio.Future[None] | None = None

    def put(self, _channel: object, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self._messages.append((method.delivery_tag, properties, body))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> list[tuple[int, pika.BasicProperties, bytes]]:
        if not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        taken, self._messages = self._messages, []
        return taken
