"""What this process knows of the outbox without reading it, since it was the one that inserted it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from busbridge.store import OutboxRow
    from busbridge.transport import Entry


class Leaving(NamedTuple):
    """A row that is to be published."""

    row: OutboxRow
    entry: Entry | None = None
    """What it publishes, where that is known already; None: it is read from the row."""


class Inserted(NamedTuple):
    """What one transaction has inserted, and committed."""

    rows: Sequence[Leaving]
    """In this order. They don't have their ids yet."""
    last: int | None
    """As `Transaction.put_outbox` returns it."""


@final
class Mirror:
    """All rows of the outbox that are not on their way, as long as that is certain.

    It begins when a look has found everything there is, and goes on while each commit of this process takes up the ids
    where the one before has left them: nobody else has inserted anything in between then. A gap ends it, and so does
    whoever uses it, with `end`, when a row was not confirmed or is another relay's. The rows are read then, as if there
    had never been a mirror. So what leaves from here leaves in the order in which reading would have found it (T15).
    """

    __slots__ = ("_most", "_newest", "_rows", "_told")

    def __init__(self, most: int) -> None:
        """`most` rows are kept; more are left to be read."""
        self._most = most
        self._newest: int | None = None
        """The id of the newest row that is known; None: it has not begun, or has ended."""
        self._told = 0
        """The highest id that this process has inserted."""
        self._rows: deque[Leaving] = deque()

    @property
    def begun(self) -> bool:
        """Whether there is no need to read what this process has inserted."""
        return self._newest is not None

    def begin(self, newest: int | None) -> None:
        """Everything was found, and is on its way; `newest` is the last id there was. None: not everything was."""
        self._rows.clear()
        found_all = newest is not None and newest >= self._told  # else there were commits after that look
        self._newest = newest if found_all else None

    def end(self) -> None:
        """It is not certain any more what the outbox holds."""
        self.begin(None)

    def inserted(self, found: Inserted) -> None:
        """Adds what this process has committed."""
        rows, last = found
        self._told = max(self._told, last or 0)
        if self._newest is None or last is None:
            self.end()
        elif last > self._newest:  # else a look has found them already
            self._add(rows, last)

    def _add(self, rows: Sequence[Leaving], last: int) -> None:
        before = last - len(rows)
        if before == self._newest and len(self._rows) + len(rows) <= self._most:
            self._rows += [_with_id(each, number) for number, each in enumerate(rows, before + 1)]
            self._newest = last
        else:
            self.end()

    def take(self, closed: Collection[str]) -> list[Leaving]:
        """Takes out, in order, what may leave: nothing for destinations in `closed`."""
        taken = [each for each in self._rows if each.row.destination not in closed]
        if len(taken) < len(self._rows):
            self._rows = deque(each for each in self._rows if each.row.destination in closed)
        else:
            self._rows.clear()
        return taken


def _with_id(leaving: Leaving, id: int) -> Leaving:  # noqa: A002 - the column
    return Leaving(leaving.row._replace(id=id), leaving.entry)
