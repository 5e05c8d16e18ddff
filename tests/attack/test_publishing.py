"""Publishing that is cut off, fed badly, or seen by a tracer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from busbridge import Bus, Context, InvalidEnvelope, Service, load
from busbridge.memory import MemoryTransport
from busbridge.runtime import MemoryTransports
from busbridge.testing import RecordingContext, harness
from tests.runtime.conftest import Placed, Reserved

PUBLISHER = Service("outside", publishes=[Placed, Reserved])


@pytest.fixture
def spans(monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def stuck(monkeypatch):
    """A broker that takes and never answers, until it is let go."""
    go = asyncio.Event()
    publish = MemoryTransport.publish

    async def stuck_publish(self, entries, seconds):
        await go.wait()
        return await publish(self, entries, seconds)

    monkeypatch.setattr(MemoryTransport, "publish", stuck_publish)
    return go


async def test_a_cancelled_publish_many_returns_at_once(config, stuck):
    async with Bus(PUBLISHER, config, transports=MemoryTransports()) as bus:
        before = time.monotonic()
        loop = asyncio.get_running_loop()
        loop.call_later(20, stuck.set)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bus.publish_many(Placed(order_id=str(each)) for each in range(3000))
        assert time.monotonic() - before < 15
        stuck.set()


async def test_an_iterable_that_raises_midway_lets_its_error_through(config):
    def orders():
        yield from (Placed(order_id=str(each)) for each in range(1200))
        raise LookupError("the file ended early")

    async with Bus(PUBLISHER, config, transports=MemoryTransports()) as bus:
        with pytest.raises(LookupError, match="ended early"):
            await bus.publish_many(orders())
        assert await bus.publish(Placed(order_id="7"))


async def test_a_cancelled_publish_ends_its_span(config, stuck, spans):
    async with Bus(PUBLISHER, config, transports=MemoryTransports()) as bus:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bus.publish(Placed(order_id="7"))
        (span,) = spans.get_finished_spans()
        assert not span.status.is_ok
        stuck.set()


async def test_what_a_plain_function_publishes_belongs_to_the_trace_of_its_handling(config, spans):
    service = Service("stock", publishes=[Reserved])

    @service.subscription("reserve").handles(Placed)
    def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))

    async with harness(service, config=config) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
    found = {each.name: each for each in spans.get_finished_spans()}
    assert found["send events"].parent is not None
    assert found["send events"].parent.span_id == found["process orders"].context.span_id


async def test_layers_may_come_from_any_iterable(config, tmp_path):
    layers = (each for each in (config, {"publish": {"timeout": "7s"}}))
    async with Bus(PUBLISHER, layers, transports=MemoryTransports()) as bus:
        assert await bus.publish(Placed(order_id="7"))
    single = tmp_path / "busbridge.yaml"
    single.write_text("transports: {}\n")
    assert load(Path(single))


def test_a_recording_context_refuses_what_the_real_one_refuses():
    """A message that does not fit its own contract is pydantic's error, in the test already."""
    context = RecordingContext()
    with pytest.raises(Exception, match="order_id"):
        context.publish(Placed.model_construct(cents=5))
    with pytest.raises(InvalidEnvelope):
        context.publish(Placed(order_id="7"), headers={"traceparent": "x"})
    assert context.published == []
