"""A dialect of SQLAlchemy for PostgreSQL that sends BEGIN when a transaction begins, not with its first statement.

So that the store's own statements may go to asyncpg directly, and a connection that was cut is found before anything is
done on it. It takes the time of the user's statements, too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import await_only

from busbridge.store._endings import refuse_ending
from busbridge.store._postgresql import INFO, WAITED

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext
    from sqlalchemy.pool import PoolProxiedConnection


def use_eager_postgresql() -> str:
    """The name of the dialect, which SQLAlchemy knows from now on."""
    registry.register("postgresql.busbridge", __name__, EagerPostgreSQL.__name__)
    return "postgresql+busbridge"


@final
class EagerPostgreSQL(PGDialect_asyncpg):
    """The dialect."""

    driver = "busbridge"
    supports_statement_cache = True

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        connection = dbapi_connection.dbapi_connection
        # SQLAlchemy has no name for it that is public: it calls this itself before the first statement.
        await_only(connection._start_transaction())  # type: ignore[union-attr]  # noqa: SLF001

    def do_execute(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext | None = None
    ) -> None:
        refuse_ending(statement)
        begin = time.monotonic()
        try:
            cursor.execute(statement, parameters)
        finally:
            if context is not None and (info := context.execution_options.get(INFO)) is not None:
                info[WAITED] += time.monotonic() - begin
