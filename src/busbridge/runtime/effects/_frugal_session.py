"""A session that is not there before it is needed: to add new objects of plain mappings takes none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from busbridge.runtime.effects._rows_left import is_heard, is_plain
from busbridge.runtime.publishing._joined import JoinedSession

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import Mapper

_TOLD_OF_ADDING: Final = ("before_attach", "after_attach", "transient_to_pending")
"""Events of sessions that an object is taken without."""
_ANY_SESSION: Final = Session()
"""Never used: only a session knows who listens to all of them."""


@final
class FrugalSession(JoinedSession):
    """Keeps what is added to it. Asked for anything else it becomes a session, to which all of that was added.

    Nearly all handlers that insert rows do nothing but `add`, and of what a session does for an object most is for what
    they don't ask.
    """

    def __init__(self, connection: AsyncConnection) -> None:  # SQLAlchemy's part is made by `_open`
        self.opened = _is_watched()
        """Whether it is a session like any other."""
        self._connection = connection
        self._added: dict[int, object] = {}
        self._plain: dict[Mapper[Any], bool] = {}
        if self.opened:
            self._open()

    def add(self, instance: object, *, _warn: bool = True) -> None:
        if not self.opened and self._takes(instance):
            self._added[id(instance)] = instance
        else:
            super().add(instance)

    def add_all(self, instances: Iterable[object]) -> None:
        for each in instances:
            self.add(each)

    def take(self) -> Iterable[object]:
        """What was added, as long as it was not opened; nothing of it stays."""
        added, self._added = self._added, {}
        return added.values()

    async def drop(self) -> None:
        self._added.clear()
        if self.opened:
            await super().drop()

    def _takes(self, instance: object) -> bool:
        """Whether it is a new object that no session has, of a plain mapping."""
        try:
            state = instance_state(instance)
        except AttributeError:  # no mapped object: SQLAlchemy says so
            return False
        mapper = state.mapper
        plain = self._plain.get(mapper)
        if plain is None:
            plain = self._plain[mapper] = is_plain(mapper)
        return plain and state.key is None and state.session_id is None

    def _open(self) -> None:
        self.opened = True
        super().__init__(self._connection, mode="rollback_only")
        super().add_all(self.take())

    def __getattr__(self, name: str) -> Any:
        """What is not there yet: all that SQLAlchemy's part would have."""
        if self.opened:
            raise AttributeError(name)
        self._open()
        return getattr(self, name)


def _is_watched() -> bool:
    """Whether anybody listens to what all sessions are told of."""
    return is_heard(_ANY_SESSION.dispatch, _TOLD_OF_ADDING)
