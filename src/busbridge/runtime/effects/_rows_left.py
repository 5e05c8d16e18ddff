"""New objects of a user's mapping, inserted in as few statements as there are mappings, where nothing depends on it.

A session's flush finds out for each object what it depends on, what the database made of it, and whom to tell. Objects
that handlers have left behind need none of that where their mapping is a plain one: nobody has them any more.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ClauseElement
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.orm import Mapper

_TOLD_OF_ROWS: Final = ("before_insert", "after_insert")
"""Events of a mapping that the rows of a plain one are inserted without."""
_TOLD_OF_FLUSHES: Final = ("before_flush", "after_flush", "after_flush_postexec", "pending_to_persistent")
"""The same, of sessions."""


def insert_rows(connection: Connection, left: Sequence[object]) -> None:
    """Inserts new objects, in their order within a mapping. Raises what the database, or the mapping, says to it."""
    left = list({id(each): each for each in left}.values())  # a handler may add what another one has added
    with Session(connection, join_transaction_mode="rollback_only") as session:
        if _all_plain(session, left):
            session.bulk_save_objects(_by_mapping(left))
        else:
            session.add_all(left)
            session.flush()


def _all_plain(session: Session, left: Iterable[object]) -> bool:
    if is_heard(session.dispatch, _TOLD_OF_FLUSHES):
        return False
    mappers: set[Mapper[Any]] = set()
    kinds: set[type] = set()
    for each in left:
        state = instance_state(each)
        mappers.add(state.mapper)
        kinds.update(map(type, state.dict.values()))
    return all(map(is_plain, mappers)) and not any(map(_is_expression, kinds))


def is_plain(mapper: Mapper[Any]) -> bool:
    """One table, and nothing that a flush would look after."""
    one = mapper.inherits is None and mapper.polymorphic_on is None and len(mapper.tables) == 1
    cared_for = mapper.relationships or mapper.version_id_col is not None or is_heard(mapper.dispatch, _TOLD_OF_ROWS)
    return one and not cared_for


def is_heard(dispatch: Any, names: Iterable[str]) -> bool:
    """Whether anybody listens to one of these events."""
    return any(getattr(dispatch, name) for name in names)


def _is_expression(kind: type[object]) -> bool:
    """Whether the database computes values of this type: only a flush can say so."""
    return hasattr(kind, "__clause_element__") or issubclass(kind, ClauseElement)


def _by_mapping(left: Iterable[object]) -> list[object]:
    """Those of a mapping one after another, the mappings in the order in which they came."""
    found: defaultdict[type, list[object]] = defaultdict(list)
    for each in left:
        found[type(each)].append(each)
    return [each for objects in found.values() for each in objects]
