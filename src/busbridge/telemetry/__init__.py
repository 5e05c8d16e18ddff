"""Traces across services, through the OpenTelemetry API; the SDK is the user's choice."""

from busbridge.telemetry._context import passed_on
from busbridge.telemetry._tracing import PublishSpan, Tracing

__all__ = ["PublishSpan", "Tracing", "passed_on"]
