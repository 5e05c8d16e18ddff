"""What the tests of the configuration share."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from busbridge.errors import ConfigurationError
from busbridge.routing import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from busbridge.errors import Fault
    from busbridge.routing import Source

QUEUE = {
    "transports": {"broker": {"url": "memory://"}},
    "destinations": {"orders": {"kind": "queue", "transport": "broker"}},
}


def faults(*sources: Source, environ: Mapping[str, str] | None = None) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(*sources, environ=environ or {})
    return caught.value.faults


def told(*sources: Source, environ: Mapping[str, str] | None = None) -> list[str]:
    """Key path and problem of every fault."""
    return [f"{'.'.join(map(str, each.location.path))}: {each.problem}" for each in faults(*sources, environ=environ)]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def with_destination(**keys: object) -> dict[str, object]:
    """A configuration whose destination `orders` has these keys."""
    return {**QUEUE, "destinations": {"orders": {"kind": "queue", "transport": "broker", **keys}}}
