"""W3C Trace Context in headers, without an SDK: what comes in is passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_HEX: Final = frozenset("0123456789abcdef")
_LENGTHS: Final = [2, 32, 16, 2]


def passed_on(headers: Iterable[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    """The trace headers to publish with, when nobody traces here: those that came in, or none where they are malformed.

    So a trace goes on through services without telemetry. Of a repeated header the first counts: some instrumentations
    of brokers' clients add a second one.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        if name in {TRACEPARENT, TRACESTATE} and name not in found:
            found[name] = _text(value)
    if not _is_traceparent(found.get(TRACEPARENT, "")):
        return ()
    return tuple((name, found[name]) for name in (TRACEPARENT, TRACESTATE) if found.get(name))


def carrier(headers: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The trace headers as the propagator takes them."""
    return dict(passed_on(headers))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) and value.isascii() else ""


def _is_traceparent(text: str) -> bool:
    """`version-trace-parent-flags`, as version 00 has it; later versions may go on after the flags."""
    parts = text.split("-")
    lengths = [len(part) for part in parts[:4]]
    if lengths != _LENGTHS or not all(set(part) <= _HEX for part in parts[:4]):
        return False
    version, trace, parent = parts[:3]
    complete = len(parts) == len(lengths) or version != "00"
    return complete and version != "ff" and bool(trace.strip("0") and parent.strip("0"))
