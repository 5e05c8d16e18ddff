"""The edge that no exception of SQLAlchemy or of a driver crosses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from busbridge.errors import StoreUnavailable
from busbridge.store._failures import told

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


@final
class Guard:
    """Runs the store's own work: it fails with errors of this library, and does not take longer than `seconds`.

    None: there is no limit, nor what it costs. For a database that answers at once or not at all.
    """

    def __init__(self, database: str, seconds: float | None) -> None:
        self.database: Final = database
        self._seconds = seconds

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. StoreUnavailable where the time is over, else what `told` says."""
        try:
            return await (work if self._seconds is None else self._in_time(work, self._seconds))
        except Exception as error:
            ours = told(error, self.database)
            if ours is None or ours is error:
                raise
            raise ours from error

    async def _in_time(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StoreUnavailable(self.database, f"no answer within {seconds:g} s") from error
