"""Spans of publishing and handling, by the semantic conventions for messaging, where the user has set up an SDK."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from busbridge.telemetry._context import carrier

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from opentelemetry.trace import Span, Tracer, TracerProvider

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"


@final
class PublishSpan:
    """The span of one publish. `headers` carry its context; `end` it once, when the outcome is known."""

    __slots__ = ("_span", "headers")

    def __init__(self, span: Span, headers: tuple[tuple[str, str], ...]) -> None:
        self._span = span
        self.headers = headers

    def end(self, error: BaseException | None = None) -> None:
        """Ends the span; with an error, as failed."""
        if error is not None:
            _failed(self._span, error)
        self._span.end()


@final
class Tracing:
    """Makes the spans of publishes and handlings. There is none without an SDK: then tracing costs nothing.

    A handling's span is the child of its message's publish, since one message is handled at a time; a span that is
    current already (of a test, say) is linked.
    """

    __slots__ = ("_propagator", "_tracer")

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer: Tracer = provider.get_tracer("busbridge", schema_url=SCHEMA_URL)
        self._propagator = TraceContextTextMapPropagator()

    def begin_publish(
        self,
        system: str,
        destination: str,
        *,
        message_id: str,
        correlation_id: str | None = None,
        attributes: Mapping[str, str | int | bool] | None = None,
    ) -> PublishSpan:
        """Begins the span of one message to one destination, a child of the current one.

        `system` is the broker (`kafka`, `rabbitmq`, `memory`), `attributes` whatever else the conventions have.
        """
        stated = _stated("send", system, destination, message_id, correlation_id, attributes)
        span = self._tracer.start_span(f"send {destination}", kind=SpanKind.PRODUCER, attributes=stated)
        injected: dict[str, str] = {}
        self._propagator.inject(injected, trace.set_span_in_context(span))
        return PublishSpan(span, tuple(injected.items()))

    @contextmanager
    def handling(
        self,
        headers: Iterable[tuple[str, object]],
        system: str,
        destination: str,
        group: str,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        attributes: Mapping[str, str | int | bool] | None = None,
    ) -> Generator[Span]:
        """The span of handling one message, current within the block; what the block raises is recorded and passes.

        `headers` are the message's, for the context of its publish; `group` is the subscription's physical name.
        """
        stated = _stated("process", system, destination, message_id, correlation_id, attributes)
        stated["messaging.consumer.group.name"] = group
        parent, links = self._origin(headers)
        span = self._tracer.start_span(
            f"process {destination}", context=parent, kind=SpanKind.CONSUMER, attributes=stated, links=links
        )
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                _failed(span, error)
                raise

    def _origin(self, headers: Iterable[tuple[str, object]]) -> tuple[Context | None, Sequence[Link]]:
        """The parent of a handling, None for the current span; and the links that it needs besides."""
        published = self._propagator.extract(carrier(headers), Context())
        if not trace.get_current_span(published).get_span_context().is_valid:
            return None, ()
        ambient = trace.get_current_span().get_span_context()
        return published, (Link(ambient),) if ambient.is_valid else ()


def _stated(
    operation: str,
    system: str,
    destination: str,
    message_id: str | None,
    correlation_id: str | None,
    attributes: Mapping[str, str | int | bool] | None,
) -> dict[str, str | int | bool]:
    """The attributes of a span, all given at its creation, where samplers see them."""
    stated: dict[str, str | int | bool] = {
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.system": system,
        "messaging.destination.name": destination,
        **(attributes or {}),
    }
    if message_id is not None:
        stated["messaging.message.id"] = message_id
    if correlation_id is not None:
        stated["messaging.message.conversation_id"] = correlation_id
    return stated


def _failed(span: Span, error: BaseException) -> None:
    kind = type(error)
    span.record_exception(error)
    span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
    span.set_status(Status(StatusCode.ERROR, str(error)))
