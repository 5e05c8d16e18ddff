"""The store's transaction as a handler or a block gets it: to write through, not to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from busbridge.errors import HandlerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncTransaction
    from sqlalchemy.orm.session import JoinTransactionMode
    from sqlalchemy.pool import PoolProxiedConnection

_REMEDY: Final = (
    "the transaction is committed when the handler has returned, or its block has ended, and rolled back when that "
    "raises; for a part of it use begin_nested()"
)


@final
class JoinedConnection(AsyncConnection):
    """The connection of a transaction that somebody else ends."""

    def __init__(self, connection: AsyncConnection, before_raw: Callable[[], Awaitable[None]] | None = None) -> None:
        """`before_raw` is awaited before the driver's own connection is given out."""
        super().__init__(connection.engine, connection.sync_connection)
        self._before_raw = before_raw

    async def get_raw_connection(self) -> PoolProxiedConnection:
        if self._before_raw is not None:
            await self._before_raw()
        return await super().get_raw_connection()

    async def commit(self) -> NoReturn:
        raise _refusal("connection.commit")

    async def rollback(self) -> NoReturn:
        raise _refusal("connection.rollback")

    async def close(self) -> NoReturn:
        raise _refusal("connection.close")

    async def invalidate(self, exception: BaseException | None = None) -> NoReturn:  # noqa: ARG002
        raise _refusal("connection.invalidate")

    def begin(self) -> NoReturn:
        raise _refusal("connection.begin")

    def get_transaction(self) -> AsyncTransaction | None:
        raise _refusal("connection.get_transaction")


class JoinedSession(AsyncSession):
    """A session on such a connection, in a savepoint of its own: a flush that fails undoes what it did and no more."""

    def __init__(self, connection: AsyncConnection, *, mode: JoinTransactionMode = "create_savepoint") -> None:
        """`mode` as SQLAlchemy's `Session` has it."""
        super().__init__(connection, join_transaction_mode=mode, expire_on_commit=False)

    async def commit(self) -> NoReturn:
        raise _refusal("session.commit")

    async def rollback(self) -> NoReturn:
        raise _refusal("session.rollback")

    async def close(self) -> NoReturn:
        raise _refusal("session.close")

    async def reset(self) -> NoReturn:
        raise _refusal("session.reset")

    async def invalidate(self) -> NoReturn:
        raise _refusal("session.invalidate")

    async def keep(self) -> None:
        """Writes what is not flushed yet, and ends the session's savepoint. Raises what the database says to it."""
        await super().commit()

    async def drop(self) -> None:
        """Forgets its objects and undoes what it wrote."""
        await super().close()


def _refusal(what: str) -> HandlerError:
    return HandlerError(f"{what}() is not yours to call here: {_REMEDY}")
