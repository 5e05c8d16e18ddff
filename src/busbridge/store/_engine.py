"""The engine of a store's URL."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from busbridge.errors import MissingExtra, StoreError
from busbridge.store._eager_postgresql import use_eager_postgresql
from busbridge.store._inline_sqlite import use_inline_sqlite
from busbridge.store._postgresql import FAILED

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

_SCHEMES: Final = ("sqlite", "postgresql")
_CONNECTED_WITHIN: Final = 10.0


def parsed(url: str) -> URL:
    """`url` as SQLAlchemy's. Raises StoreError, which shows nothing of it, where it can't be read."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        found = None
    if found is None or found.get_backend_name() not in _SCHEMES or (found.host and _is_sqlite(found)):
        raise StoreError("an unknown place", "its url is to be sqlite:///FILE or postgresql://USER@HOST/DATABASE")
    return found


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def shown(url: URL) -> str:
    """The database in words, without user, password and options."""
    if _is_sqlite(url):
        return f"SQLite {url.database or 'in memory'}"
    return URL.create("postgresql", host=url.host, port=url.port, database=url.database).render_as_string()


def file_of(url: URL) -> Path | None:
    """The file of a database that is one."""
    name = url.database if _is_sqlite(url) else None
    return None if not name or name.startswith((":memory:", "file:")) else Path(name)


def check_driver(scheme: str) -> None:
    """Raises MissingExtra where what connects to databases of this scheme is not installed."""
    if scheme == "postgresql" and find_spec("asyncpg") is None:
        raise MissingExtra(scheme, _SCHEMES, "postgresql", what="database driver")


def make_engine(url: URL, service: str, connections: int) -> AsyncEngine:
    """An engine that has not connected yet. Raises MissingExtra where the driver is not installed."""
    if _is_sqlite(url):
        # One connection: SQLite has one writer, and each connection of `:memory:` would be a database of its own.
        return create_async_engine(
            url.set(drivername=use_inline_sqlite()), pool_size=1, max_overflow=0, hide_parameters=True
        )
    check_driver("postgresql")
    engine = create_async_engine(
        _for_asyncpg(url),
        hide_parameters=True,  # an error shows no payload
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        connect_args={"timeout": _CONNECTED_WITHIN, "server_settings": _settings(service)},
    )
    event.listen(engine.sync_engine, "handle_error", _remember_failure)
    return engine


def _settings(service: str) -> dict[str, str]:
    """What the server is told. It ends the transaction of a machine that is gone, and with it the locks, in 90 s."""
    keepalives = {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
    return {"application_name": f"busbridge {service}", **keepalives}


def _remember_failure(context: ExceptionContext) -> None:
    if context.connection is not None and not context.connection.invalidated:
        context.connection.info[FAILED] = True


def _for_asyncpg(url: URL) -> URL:
    """The same URL with asyncpg's name for what every other client calls `sslmode`."""
    query: dict[str, Any] = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername=use_eager_postgresql(), query=query)
