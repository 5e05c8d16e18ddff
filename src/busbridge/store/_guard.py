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
    """Runs the store's own work: it fails with errors of this library, and does not take longer than `seconds`."""

    def __init__(self, database: str, seconds: float) -> None:
        self.database: Final = database
        self._seconds = seconds

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. StoreUnavailable where the time is over, else what `told` says."""
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await work
        except Exception as error:
            if limit.expired():
                raise StoreUnavailable(self.database, f"no answer within {self._seconds:g} s") from error
            ours = told(error, self.database)
            if ours is None or ours is error:
                raise
            raise ours from error
