"""Traces across services, through the OpenTelemetry API; the SDK is the user's choice.

`Tracing` itself is in `busbridge.telemetry.tracing`, which imports the API.
"""

from busbridge.telemetry._context import passed_on
from busbridge.telemetry._detect import detect

__all__ = ["detect", "passed_on"]
