"""Spans of publishes and handlings, seen by an SDK's exporter."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from busbridge.errors import MessageRefused
from busbridge.telemetry import detect
from busbridge.telemetry.tracing import Tracing


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def tracing(provider: TracerProvider) -> Tracing:
    return Tracing(provider)


def publish(tracing: Tracing, message_id: str = "id-1") -> tuple[tuple[str, str], ...]:
    span = tracing.begin_publish("rabbitmq", "order-events", message_id=message_id, correlation_id="flow-1")
    span.end()
    return span.headers


def test_without_an_sdk_there_is_no_tracing():
    assert detect() is None


def test_with_an_sdk_there_is():
    # In a process of its own: the provider is global and can be set once.
    code = (
        "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider;"
        "from busbridge.telemetry import detect;"
        "trace.set_tracer_provider(TracerProvider()); assert detect() is not None;"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_publish_is_a_producer_span_whose_context_travels(tracing: Tracing, exporter: InMemorySpanExporter):
    headers = dict(publish(tracing))
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("send order-events", SpanKind.PRODUCER)
    assert span.attributes == {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.system": "rabbitmq",
        "messaging.destination.name": "order-events",
        "messaging.message.id": "id-1",
        "messaging.message.conversation_id": "flow-1",
    }
    assert headers == {
        "traceparent": f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
    }


def test_a_handling_is_a_consumer_span_below_its_publish(tracing: Tracing, exporter: InMemorySpanExporter):
    headers = publish(tracing)
    with tracing.handling(
        [*headers, ("a", "b")],
        "kafka",
        "order-log",
        "analytics.revenue",
        message_id="id-1",
        attributes={"messaging.kafka.offset": 7},
    ):
        pass
    sent, handled = exporter.get_finished_spans()
    assert (handled.name, handled.kind) == ("process order-log", SpanKind.CONSUMER)
    assert handled.parent is not None
    assert handled.parent.span_id == sent.context.span_id
    assert not handled.links
    assert handled.attributes == {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.system": "kafka",
        "messaging.destination.name": "order-log",
        "messaging.consumer.group.name": "analytics.revenue",
        "messaging.message.id": "id-1",
        "messaging.kafka.offset": 7,
    }


def test_a_flow_over_several_hops_is_one_trace(tracing: Tracing, exporter: InMemorySpanExporter):
    headers: tuple[tuple[str, object], ...] = publish(tracing)
    for hop in range(3):
        with tracing.handling([(name, str(value).encode()) for name, value in headers], "kafka", "log", "a.b"):
            headers = publish(tracing, f"id-{hop}")
    spans = exporter.get_finished_spans()
    assert len(spans) == 7
    assert len({span.context.trace_id for span in spans}) == 1


def test_the_span_is_current_within_the_handling_only(tracing: Tracing):
    with tracing.handling([], "kafka", "log", "a.b") as span:
        assert trace.get_current_span() is span
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_span_that_is_current_already_is_linked(
    tracing: Tracing, provider: TracerProvider, exporter: InMemorySpanExporter
):
    headers = publish(tracing)
    with provider.get_tracer("test").start_as_current_span("ambient") as ambient:
        with tracing.handling(headers, "kafka", "log", "a.b"):
            pass
    sent, handled, _ = exporter.get_finished_spans()
    assert handled.parent is not None
    assert handled.parent.span_id == sent.context.span_id
    assert [link.context for link in handled.links] == [ambient.get_span_context()]


def test_without_a_publish_span_the_current_one_is_the_parent(
    tracing: Tracing, provider: TracerProvider, exporter: InMemorySpanExporter
):
    with provider.get_tracer("test").start_as_current_span("ambient") as ambient:
        with tracing.handling([("traceparent", "malformed")], "kafka", "log", "a.b"):
            pass
    handled, _ = exporter.get_finished_spans()
    assert handled.parent == ambient.get_span_context()
    assert not handled.links


def test_trace_state_travels(tracing: Tracing):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with tracing.handling([("traceparent", parent), ("tracestate", "rojo=1")], "kafka", "log", "a.b"):
        assert dict(publish(tracing))["tracestate"] == "rojo=1"


def test_a_failed_publish_says_why(tracing: Tracing, exporter: InMemorySpanExporter):
    span = tracing.begin_publish("kafka", "log", message_id="id-1")
    span.end(MessageRefused("too_large", "log", "1 MB"))
    (ended,) = exporter.get_finished_spans()
    assert ended.status.status_code is StatusCode.ERROR
    assert ended.attributes is not None
    assert ended.attributes["error.type"] == "busbridge.errors.MessageRefused"
    assert [event.name for event in ended.events] == ["exception"]


@pytest.mark.parametrize("error", [ValueError("no stock"), KeyboardInterrupt("stopped")])
def test_what_a_handling_raises_is_recorded_once_and_passes(
    tracing: Tracing, exporter: InMemorySpanExporter, error: BaseException
):
    with pytest.raises(type(error)) as caught, tracing.handling([], "kafka", "log", "a.b"):
        raise error
    assert caught.value is error
    (ended,) = exporter.get_finished_spans()
    assert ended.status.status_code is StatusCode.ERROR
    assert ended.attributes is not None
    assert ended.attributes["error.type"] == type(error).__name__
    assert [event.name for event in ended.events] == ["exception"]
