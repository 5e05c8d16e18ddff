"""What a subscription has put off: each message waits for its time, then comes back to this subscription alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from busbridge.memory._stored import Stored
from busbridge.transport import standing_in, without_standing

if TYPE_CHECKING:
    from busbridge.memory._mailbox import Mailbox
    from busbridge.memory._source import MemoryDelivery
    from busbridge.transport import Headers


@final
class Waiting:
    """Messages that wait, and the mailbox that they come back into. They outlive the source that put them off."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._count = 0

    @property
    def outstanding(self) -> int:
        """Messages that wait, while somebody is there to handle them."""
        return self._count if self.mailbox.consumed else 0

    def put(self, delivery: MemoryDelivery, seconds: float, added: Headers) -> None:
        """Takes over the message of a delivery, for a while."""
        original = delivery.stored
        headers = (*original.headers, *without_standing(added))
        stored = Stored(original.body, headers, original.key, standing=standing_in(added))
        self._count += 1
        asyncio.get_running_loop().call_later(seconds, self._due, stored)

    def _due(self, stored: Stored) -> None:
        self._count -= 1
        self.mailbox.put(stored)

    def __repr__(self) -> str:
        return f"<Waiting for {self.mailbox.name!r}, {self._count} messages>"
