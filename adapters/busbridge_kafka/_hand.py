"""A thread that does one thing after the other, for a loop that must not wait. It dies with the process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@final
class Hand:
    """Takes work until `end`."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `work` returns or raises, later. Cancelling it stops only what has not begun."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return asyncio.wrap_future(future)

    def end(self) -> None:
        """Nothing more is done after what was given before."""
        self._work.put(None)

    def _run(self) -> None:
        while (given := self._work.get()) is not None:
            work, future = given
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001  (whoever waits for it must hear of it)
                    future.set_exception(error)
