"""What a block publishes, collected: encoded at once, in the outbox when the block has ended, gone if it raised."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from busbridge.errors import ClosedError
from busbridge.outbox import to_outbox

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Self

    from busbridge.contract import Contract
    from busbridge.runtime._prepared import Prepared
    from busbridge.runtime._publishing import Publishing
    from busbridge.store import OutboxRow


@final
class Collected:
    """Takes messages while its block runs. `Bus.outbox` and `BlockingBus.transaction` hand it out."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing
        self._prepared: list[Prepared] = []
        self._ended = False

    def publish(
        self,
        message: Contract,
        *,
        message_id: str | None = None,
        correlation_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Collects a message to publish; returns its id, which it keeps however often it is sent.

        A plain call. Raises what `Bus.publish` raises before anything is sent, and ClosedError after the block.
        """
        if self._ended:
            raise ClosedError("the block that published through this object")
        prepared = self._publishing.prepare(
            message, message_id=message_id, correlation_id=correlation_id, headers=headers
        )
        self._prepared.append(prepared)
        return prepared.id

    def rows(self) -> list[OutboxRow]:
        """What was published, for the outbox, in order. Nothing more is taken."""
        self._ended = True
        return [row for each in self._prepared for row in to_outbox(each)]

    @contextmanager
    def block(self) -> Generator[Self]:
        """Around all that must succeed for the messages to go out."""
        try:
            yield self
        except BaseException as error:
            self.abandon(error)
            raise
        finally:
            self._ended = True

    def abandon(self, error: BaseException) -> None:
        """They do not go out after all."""
        self._publishing.abandon(self._prepared, error)

    def committed(self) -> None:
        """They are the relay's now. On the loop's thread."""
        self._publishing.committed(self._prepared)

    def __repr__(self) -> str:
        return f"<Collected, {len(self._prepared)} messages, {'ended' if self._ended else 'open'}>"
