"""Whether anybody traces here."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busbridge.telemetry.tracing import Tracing


def detect() -> Tracing | None:
    """Tracing by the provider that is set now; None when there is none but the API's own, which records nothing.

    The API is not even imported, which takes time, where nobody else has imported it: only through
    it, or through its environment variable, can a provider have been set.
    """
    if "opentelemetry.trace" not in sys.modules and "OTEL_PYTHON_TRACER_PROVIDER" not in os.environ:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    from busbridge.telemetry.tracing import Tracing  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    silent = isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
    return None if silent else Tracing(provider)
