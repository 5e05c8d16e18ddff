"""A message that is to be published later, on its way to the timers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, final

from busbridge.contract import info_of
from busbridge.outbox import to_scheduled
from busbridge.runtime.publishing._prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busbridge.outbox import Moment, Releasing
    from busbridge.runtime.publishing._observer import Observer
    from busbridge.store import TimerRow


@final
class Postponed(Prepared):
    """Goes the way of all that a handler or a block publishes, and leaves nothing in the outbox: it has no entries."""

    __slots__ = ("moment", "prepared", "revoked")

    postponed: ClassVar[bool] = True

    def __init__(self, prepared: Prepared, moment: Moment) -> None:
        super().__init__(prepared.contract, prepared.body, prepared.id, [])
        self.spans = prepared.spans
        self.prepared = prepared
        """As it is published in the end."""
        self.moment = moment
        self.revoked = False
        """Taken back before it was written."""

    def timer(self, service: str, now: float) -> TimerRow:
        """The row that keeps it. `now`: the time by the database's clock."""
        return to_scheduled(self.prepared, info_of(self.contract).name, service, self.moment.due(now))


@final
class Postponing:
    """What becomes of postponed messages in this process, beyond their rows: who releases them, and who watches."""

    def __init__(self, releasing: Releasing, observer: Observer | None) -> None:
        self._releasing = releasing
        self._observer = observer
        self._watched: dict[str, Prepared] = {}

    def committed(self, postponed: Iterable[Postponed]) -> None:
        """Their timers are in the store. On the loop's thread."""
        for each in postponed:
            if each.revoked:
                continue
            if self._observer is not None:
                self._watched[each.id] = each.prepared
            now = time.time()
            self._releasing.expect(each.moment.due(now) - now)

    def announce(self, message_ids: Iterable[str]) -> None:
        """They are about to be in the outbox."""
        known = [self._watched.pop(each) for each in message_ids if each in self._watched]
        if known and self._observer is not None:
            self._observer.publishing(known)


def revoked(postponed: Iterable[Postponed], message_id: str) -> bool:
    """Takes a message back that is not written yet; False: it is none of `postponed`."""
    for each in postponed:
        if each.id == message_id and not each.revoked:
            each.revoked = True
            return True
    return False
