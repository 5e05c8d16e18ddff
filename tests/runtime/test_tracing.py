"""One trace over all hops: a span for each publish and each handling, where the user has an SDK."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from busbridge import Context, Service
from busbridge.testing import harness
from tests.runtime.conftest import Placed, Reserved

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch):
    """What an SDK collects, as if the user had set it up."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def services():
    stock, audit = Service("stock", publishes=[Reserved]), Service("audit")

    @stock.subscription("reserve").handles(Placed)
    async def reserve(order: Placed, context: Context) -> None:
        if order.cents < 0:
            raise RuntimeError("no such price")
        context.publish(Reserved(order_id=order.order_id))

    @audit.subscription("watch").handles(Reserved)
    async def watch(_: Reserved) -> None: ...

    return stock, audit


async def test_one_trace_goes_through_publish_handling_publish_handling(config, spans):
    config["services"]["audit"] = {"subscriptions": {"watch": {"from": "events"}}}
    async with harness(*services(), config=config) as bus:
        message_id = await bus.publish(Placed(order_id="7"))
        await bus.settled()
    found = {each.name: each for each in spans.get_finished_spans()}
    assert set(found) == {"send orders", "process orders", "send events", "send history", "process events"}
    assert len({each.context.trace_id for each in found.values()}) == 1
    parents = [("process orders", "send orders"), ("send events", "process orders"), ("process events", "send events")]
    for child, parent in parents:
        assert found[child].parent.span_id == found[parent].context.span_id
    assert found["send orders"].kind is SpanKind.PRODUCER
    assert found["process orders"].kind is SpanKind.CONSUMER
    assert found["process orders"].attributes["messaging.message.id"] == message_id
    assert found["process events"].attributes["messaging.message.conversation_id"] == message_id


async def test_each_attempt_has_a_span_and_a_failed_one_says_so(config, spans):
    async with harness(services()[0], config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7", cents=-1))
        await bus.settled()
    attempts = [each for each in spans.get_finished_spans() if each.name == "process orders"]
    assert [each.status.status_code for each in attempts] == [StatusCode.ERROR] * 3
    assert {each.attributes["error.type"] for each in attempts} == {"RuntimeError"}


async def test_without_an_sdk_the_trace_that_came_in_is_passed_on(config):
    config["services"]["audit"] = {"subscriptions": {"watch": {"from": "events"}}}
    stock, _ = services()
    audit, seen = Service("audit"), []

    @audit.subscription("watch").handles(Reserved)
    async def watch(_: Reserved, context: Context) -> None:
        seen.append(context.headers.get("traceparent"))

    async with harness(stock, audit, config=config) as bus:
        prepared = bus._bus._publishing.prepare(Placed(order_id="7"))
        ((_, entry),) = prepared.entries
        entry.headers = [*entry.headers, ("traceparent", PARENT)]
        await bus._bus._publishing.send([prepared])
        await bus.settled()
    assert seen == [PARENT]


async def test_what_a_failed_attempt_would_have_published_ends_its_span_too(config, spans):
    service = Service("stock", publishes=[Reserved])

    @service.subscription("reserve").handles(Placed, fatal=(RuntimeError,))
    async def handler(order: Placed, context: Context) -> None:
        context.publish(Reserved(order_id=order.order_id))
        raise RuntimeError

    async with harness(service, config=config, raise_failures=False) as bus:
        await bus.publish(Placed(order_id="7"))
        await bus.settled()
    codes = {each.name: each.status.status_code for each in spans.get_finished_spans()}
    assert codes["send events"] is StatusCode.ERROR
