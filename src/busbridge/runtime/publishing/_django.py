"""Publishing in a transaction of Django's, which Django commits. Nothing of Django is imported."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, final, runtime_checkable

from busbridge.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from busbridge.runtime.publishing._collected import Collected
    from busbridge.store import Store

_NOT_ATOMIC: Final = (
    "Django's connection is in no transaction, so that rows and messages would be committed apart; "
    "put transaction.atomic() around bus.outbox(connection)"
)
_ANOTHER: Final = "Django's connection is to another database, whose commit would not commit what is published with it"


@runtime_checkable
class DjangoConnection(Protocol):
    """`django.db.connection`, or one of `django.db.connections`: what is used of it."""

    @property
    def in_atomic_block(self) -> bool: ...
    @property
    def settings_dict(self) -> Mapping[str, Any]: ...
    @property
    def introspection(self) -> Any: ...
    def cursor(self) -> Any: ...
    def on_commit(self, func: Callable[[], object], /) -> None: ...


@final
class DjangoTransactions:
    """Writes into the outbox through Django's cursors, on any thread.

    `committed` is called with what has been committed there, on the thread that did it. Django tells nobody of what it
    rolls back: that is only forgotten.
    """

    def __init__(self, store: Store, committed: Callable[[Collected], None]) -> None:
        self._store = store
        self._committed = committed
        self._known: set[tuple[str, ...]] = set()

    @contextmanager
    def using(self, connection: DjangoConnection, collected: Collected) -> Generator[Collected]:
        """Inserts at the end of the block, through `connection`; nothing if the block raises."""
        self._check(connection)
        with collected.block():
            yield collected
            self._insert(connection, collected)

    def _check(self, connection: DjangoConnection) -> None:
        if not connection.in_atomic_block:
            raise StoreError(self._store.database, _NOT_ATOMIC)
        place = _place(connection)
        if place in self._known:
            return
        with connection.cursor() as cursor:
            found = self._store.identity_by(cursor, connection.introspection.table_names(cursor))
        if not found or found != self._store.identity:
            raise StoreError(self._store.database, _ANOTHER)
        self._known.add(place)

    def _insert(self, connection: DjangoConnection, collected: Collected) -> None:
        if collected.empty:
            return
        with connection.cursor() as cursor:
            self._store.insert_outbox_by(cursor, collected.rows())
            self._store.delete_timers_by(cursor, collected.taken_back)
            if collected.postpones:
                self._store.insert_timers_by(cursor, collected.timers)
        connection.on_commit(partial(self._committed, collected))


def _place(connection: DjangoConnection) -> tuple[str, ...]:
    """Where a connection leads: Django's settings say, which its test runner changes."""
    return tuple(str(connection.settings_dict.get(name)) for name in ("HOST", "PORT", "NAME"))
