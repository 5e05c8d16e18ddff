"""Puts away what was provisioned on brokers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.routing import Config
    from busbridge.runtime._transports import Transports

_PATIENCE: Final = 10.0
"""Seconds that a broker is waited for, at most: it was there a moment ago."""


async def remove(config: Config, transports: Transports, names: Iterable[str]) -> None:
    """Deletes what buses provisioned for a configuration on the transports named, and every message in there.

    For tests and demonstrations whose configuration is `namespaced`, once their buses are closed. All transports get
    their turn, last first, also after an error. Raises as `Transport.open` and `Transport.remove`.
    """
    async with AsyncExitStack() as stack:
        for name in names:
            stack.push_async_callback(_remove, config, transports, name)


async def _remove(config: Config, transports: Transports, name: str) -> None:
    settings = config.transports[name]
    transport = transports.make(replace(settings, patience=min(settings.patience, _PATIENCE)))
    try:
        await transport.open()
        await transport.remove(config.topology(name))
    finally:
        await transport.close()
