"""The tables of the store. What changes here is a new step in `_migrations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.types import TypeEngine


class Clock(FunctionElement[float]):
    """Seconds since 1970 by the database's clock."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


@compiles(Clock, "postgresql")
def _postgresql_clock(_element: Clock, _compiler: SQLCompiler, **_options: Any) -> str:
    return "extract(epoch FROM clock_timestamp())"


@compiles(Clock, "sqlite")
def _sqlite_clock(_element: Clock, _compiler: SQLCompiler, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


metadata: Final = MetaData()

schema: Final = Table(
    "busbridge_schema",
    metadata,
    Column("version", Integer, nullable=False),
    Column("identity", String, nullable=False),  # made up once: whoever reads the same is in the same database
)

inbox: Final = Table(
    "busbridge_inbox",
    metadata,
    Column("place", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("redrive", Text, nullable=False),
    Column("changed", Double, nullable=False),
    Index("busbridge_inbox_changed", "service", "changed"),  # what cleaning walks along
)

outbox: Final = Table(
    "busbridge_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("service", Text, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("key", Text),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created", Double, nullable=False, server_default=Clock()),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due", Double, nullable=False, server_default=text("0")),
    Column("parked", Boolean, nullable=False, server_default=text("false")),
    Column("error", Text),
    sqlite_autoincrement=True,  # an id is never given twice: a late `sent` would delete another row
)
Index(
    "busbridge_outbox_pending",
    outbox.c.service,
    outbox.c.id,
    postgresql_where=text("NOT parked"),  # in the words of the query: it is not used otherwise
    sqlite_where=text("NOT parked"),
)
Index(  # the few rows that may hold the later ones of their key
    "busbridge_outbox_failed",
    outbox.c.service,
    outbox.c.destination,
    outbox.c.key,
    outbox.c.id,
    postgresql_where=text("attempts > 0"),
    sqlite_where=text("attempts > 0"),
)

timers: Final = Table(
    "busbridge_timers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("due", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("key", Text),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("position", Text, nullable=False),
    Column("owner", Text),
    Column("claimed", Double, nullable=False, server_default=text("0")),  # until when
    Index("busbridge_timers_due", "place", "due"),
)

parked: Final = Table(
    "busbridge_parked",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("service", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("position", Text, nullable=False),
    Column("since", Double, nullable=False, server_default=Clock()),
    Index("busbridge_parked_line", "subscription", "key", "id"),
    sqlite_autoincrement=True,  # an id is never given twice: the order of a key is that of its ids
)

runs: Final = Table(
    "busbridge_runs",
    metadata,
    Column("service", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("subscription", Text, nullable=False),
    Column("publish", Text, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("progress", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", Double, nullable=False),  # whose it is until when
)

owners: Final = Table(
    "busbridge_owners",
    metadata,
    Column("service", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("until", Double, nullable=False),
)

leases: Final = Table(
    "busbridge_leases",
    metadata,
    Column("service", Text, primary_key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("until", Double, nullable=False),
)

actions: Final = Table(
    "busbridge_actions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("time", Double, nullable=False, server_default=Clock()),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("which", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("done", Integer, nullable=False, server_default=text("0")),
    Column("refused", Integer, nullable=False, server_default=text("0")),
    Index("busbridge_actions_time", "service", "time"),
)
