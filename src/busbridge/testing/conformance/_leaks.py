"""What a transport leaves behind: tasks, threads, sockets."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from busbridge.testing.conformance._row import RowFailed

_OPEN_FILES = Path("/proc/self/fd")
_LOOK_AGAIN_SECONDS = 0.02


@final
class Leaks:
    """What is there now, to compare with later. Sockets are only seen where /proc is."""

    def __init__(self) -> None:
        self._before = _alive()

    async def check(self, seconds: float) -> None:
        """Raises RowFailed if something is left that was not there before. What is ending gets `seconds` to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._left():  # noqa: ASYNC110 - nothing tells when a thread or a socket has gone
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if left := self._left():
            raise RowFailed(f"left behind after close: {', '.join(sorted(map(str, left)))}")

    def _left(self) -> set[Any]:
        return {each for each in _alive() - self._before if not (isinstance(each, asyncio.Task) and each.done())}


def _alive() -> set[Any]:
    return {*(asyncio.all_tasks() - {asyncio.current_task()}), *_threads(), *_sockets()}


def _threads() -> list[threading.Thread]:
    """All but those of the event loop's own pool, which live as long as the loop."""
    return [each for each in threading.enumerate() if not each.name.startswith("asyncio_")]


def _sockets() -> set[str]:
    found: set[str] = set()
    with suppress(OSError):
        for each in _OPEN_FILES.iterdir():
            with suppress(OSError):
                found.add(str(each.readlink()))
    return {each for each in found if each.startswith("socket:")}
